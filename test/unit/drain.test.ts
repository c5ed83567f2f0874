import t from 'tap'
import { systemClock } from '../../core/clock.js'
import { createDrain, stopReserveMs, type Drain, type Drainable } from '../../core/drain.js'
import { createLogger } from '../../core/log.js'

const log = createLogger({ level: 'silent' })

interface Rig {
  readonly drain: Drain
  readonly seen: string[]
  /** The part has let everything go. */
  readonly done: () => void
}

function rig(delayMs: number, deadlineMs = 20_000, deaf = false): Rig {
  const drain = createDrain({ clock: systemClock, log, delayMs, deadlineMs })
  const seen: string[] = []
  let done = (): void => {}
  const part: Drainable = {
    announce: () => void seen.push(`announce (${drain.phase})`),
    refuse: () => void seen.push(`refuse (${drain.phase})`),
    letGo(hurry) {
      seen.push('let go')
      return new Promise((resolve) => {
        done = resolve
        const onHurry = (): void => {
          seen.push('hurry')
          if (!deaf) resolve()
        }
        if (hurry.aborted) onHurry()
        else hurry.addEventListener('abort', onHurry)
      })
    },
  }
  drain.add(part)
  return { drain, seen, done: () => done() }
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

void t.test('drain: says so, serves on, takes nothing new, lets go, and leaves the rest of the time', async (t) => {
  const { drain, seen, done } = rig(60)
  t.equal(drain.phase, 'serving')
  const from = performance.now()
  const left = drain.run()
  t.same(seen, ['announce (announced)'])
  await until(() => seen.length > 1)
  t.ok(performance.now() - from >= 59, 'not before the delay is over')
  t.same(seen.slice(1), ['refuse (leaving)', 'let go'])
  done()
  const ms = await left
  t.equal(drain.phase, 'stopping')
  t.ok(ms > 10_000 && ms < 19_950, `${ms} ms are left for the stop`)
  t.equal(drain.hurry(), false, 'nothing is left to shorten')
})

void t.test('drain: a second wish ends the delay, and the letting go', async (t) => {
  const early = rig(60_000, 600_000)
  const run = early.drain.run()
  t.equal(early.drain.hurry(), true)
  await run
  t.same(early.seen, ['announce (announced)', 'refuse (leaving)', 'let go', 'hurry'])
  const later = rig(0)
  const running = later.drain.run()
  await until(() => later.seen.includes('let go'))
  t.equal(later.drain.hurry(), true)
  t.equal(later.drain.hurry(), false, 'a third one finds nothing to shorten')
  await running
})

void t.test('drain: near the deadline it hurries by itself, and waits for nobody', async (t) => {
  const deaf = rig(0, 600, true)
  const from = performance.now()
  const left = await deaf.drain.run()
  const took = performance.now() - from
  t.same(deaf.seen.at(-1), 'hurry')
  t.ok(took >= 299, `${Math.round(took)} ms`)
  t.ok(left <= 600 - took + 50)
})

void t.test('drain: a part that nobody depends on is no part', async (t) => {
  const drain = createDrain({ clock: systemClock, log, delayMs: 0, deadlineMs: 1_000 })
  t.ok((await drain.run()) > 500)
})

void t.test('drain: some of the deadline is for the stop', async (t) => {
  t.equal(stopReserveMs(20_000), 6_000)
  t.equal(stopReserveMs(1_000), 500)
})
