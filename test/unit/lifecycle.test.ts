import t from 'tap'
import { systemClock } from '../../core/clock.js'
import { createLifecycle, LAST_CHANCE_MS, StoppedWhileStarting } from '../../core/lifecycle.js'
import { createLogger } from '../../core/log.js'

const log = createLogger({ level: 'silent' })
const lifecycleOf = (stopDeadlineMs = 10_000) => createLifecycle({ log, clock: systemClock, stopDeadlineMs })

void t.test('lifecycle: stops what it started, the last one first', async (t) => {
  const lifecycle = lifecycleOf()
  const seen: string[] = []
  for (const name of ['a', 'b', 'c']) {
    const value = await lifecycle.step(
      name,
      () => {
        seen.push(`start ${name}`)
        return name.toUpperCase()
      },
      async (started) => {
        seen.push(`stop ${started}`)
      },
    )
    t.equal(value, name.toUpperCase())
  }
  t.equal(lifecycle.stopping, false)
  t.equal(await lifecycle.stop(), true)
  t.equal(lifecycle.stopping, true)
  t.same(seen, ['start a', 'start b', 'start c', 'stop C', 'stop B', 'stop A'])
})

void t.test('lifecycle: a start that fails in the middle leaves nothing behind', async (t) => {
  const lifecycle = lifecycleOf()
  const stopped: string[] = []
  await lifecycle.step(
    'a',
    () => 'a',
    async (name) => void stopped.push(name),
  )
  const failing = lifecycle.step(
    'b',
    async () => {
      throw new Error('no')
    },
    async () => void stopped.push('b'),
  )
  await t.rejects(failing, { message: 'no' })
  t.equal(await lifecycle.stop(), true)
  t.same(stopped, ['a'], 'what never started is not stopped')
})

void t.test('lifecycle: a stop during a step waits for it and undoes it', async (t) => {
  const lifecycle = lifecycleOf()
  const seen: string[] = []
  let open = (_name: string): void => undefined
  const starting = lifecycle.step(
    'slow',
    () => new Promise<string>((resolve) => (open = resolve)),
    async (name) => void seen.push(`stop ${name}`),
  )
  const stopping = lifecycle.stop()
  open('slow')
  await t.rejects(starting, StoppedWhileStarting)
  t.equal(await stopping, true)
  t.same(seen, ['stop slow'])
  await t.rejects(
    lifecycle.step('later', () => seen.push('later')),
    StoppedWhileStarting,
  )
  t.same(seen, ['stop slow'], 'no step starts after a stop')
})

void t.test('lifecycle: a step that hangs or fails does not keep the others from stopping', async (t) => {
  const lifecycle = lifecycleOf(20)
  const stopped: string[] = []
  await lifecycle.step(
    'store',
    () => 'store',
    async (name) => void stopped.push(name),
  )
  await lifecycle.step(
    'fails',
    () => 'fails',
    async () => {
      throw new Error('no')
    },
  )
  await lifecycle.step(
    'hangs',
    () => 'hangs',
    () => new Promise(() => undefined),
  )
  const from = systemClock.monotonic()
  t.equal(await lifecycle.stop(), false, 'and says that it was not in good order')
  t.same(stopped, ['store'])
  t.ok(systemClock.monotonic() - from < 4 * LAST_CHANCE_MS)
})

void t.test('lifecycle: stopping twice is stopping once', async (t) => {
  const lifecycle = lifecycleOf()
  let stops = 0
  await lifecycle.step(
    'a',
    () => 'a',
    async () => void stops++,
  )
  await Promise.all([lifecycle.stop(), lifecycle.stop()])
  await lifecycle.stop()
  t.equal(stops, 1)
})
