import t, { type Test } from 'tap'
import { DrainCounters } from '../../broker/counters.js'
import { DrainCrew, MOMENT_MS, SHORT_MOMENT_MS, type Leaver } from '../../broker/drain-crew.js'

/** A connection that ends as soon as it is told to, or not before `ends` is called. */
class Device implements Leaver {
  standing = true
  letGone = false
  left = 0
  rests: boolean
  readonly #slow: boolean

  constructor(rests: boolean, slow = false) {
    this.rests = rests
    this.#slow = slow
  }

  letGo(): void {
    this.letGone = true
  }

  leave(): void {
    this.left++
    if (!this.#slow) this.standing = false
  }
}

const many = (count: number, rests: boolean, slow = false): Device[] =>
  Array.from({ length: count }, () => new Device(rests, slow))

function crewOf(connections: readonly Device[], perSecond: number) {
  const time = { now: 0 }
  const counters = new DrainCounters()
  const crew = new DrainCrew({ connections, perSecond, counters, clock: { monotonic: () => time.now } })
  const after = (ms: number): void => {
    for (let left = ms; left > 0; left -= 50) {
      time.now += Math.min(50, left)
      crew.tick()
    }
  }
  return { crew, counters, time, after }
}

const gone = (devices: readonly Device[]): number => devices.filter(({ left }) => left > 0).length

/** Rounding may cost a tick. */
const about = (t: Test, found: number, wanted: number): void => {
  t.ok(Math.abs(found - wanted) <= Math.max(1, wanted * 0.06), `${found}, about ${wanted}`)
}

void t.test('drain crew: so many a second, and not more after a pause of the process', async (t) => {
  const devices = many(1_000, true)
  const { crew, counters, time, after } = crewOf(devices, 100)
  crew.tick()
  t.equal(gone(devices), 1)
  after(1_000)
  about(t, gone(devices), 101)
  after(1_000)
  const before = gone(devices)
  about(t, before, 201)
  time.now += 60_000
  crew.tick()
  about(t, gone(devices) - before, 50) // half a second: a frozen process makes up for nothing
  t.same(counters.ended, { idle: gone(devices), busy: 0, rest: 0 })
})

void t.test('drain crew: the pace is kept whatever a tick earns', async (t) => {
  for (const perSecond of [2, 7, 30, 61, 999, 5_000]) {
    const devices = many(perSecond * 20, true)
    const { after } = crewOf(devices, perSecond)
    after(10_000)
    t.ok(Math.abs(gone(devices) / (perSecond * 10) - 1) < 0.06, `${gone(devices)} in 10 s at ${perSecond}/s`)
  }
})

void t.test('drain crew: those on which nothing is on its way go first', async (t) => {
  const busy = many(50, false)
  const idle = many(50, true)
  const letGone = (): number => busy.filter((device) => device.letGone).length
  const { after } = crewOf([...busy, ...idle], 100)
  after(400)
  about(t, gone(idle), 41)
  t.equal(letGone(), 0, 'nobody else is even stopped while there are some that have nothing to finish')
  after(300)
  about(t, letGone(), 21)
  t.same([gone(idle), gone(busy)], [50, 0], 'the others have a moment')
})

void t.test('drain crew: a busy one goes when it has finished, or when its moment is over', async (t) => {
  const quick = new Device(false)
  const stuck = new Device(false)
  const { counters, after } = crewOf([quick, stuck], 100)
  after(50)
  t.equal(counters.leaving, 2)
  quick.rests = true
  after(50)
  t.same([quick.left, stuck.left], [1, 0])
  after(MOMENT_MS - 100)
  t.same([quick.left, stuck.left], [1, 0])
  after(100)
  t.same([quick.left, stuck.left], [1, 1], 'each is told once')
  t.same({ ...counters.ended, leaving: counters.leaving }, { idle: 0, busy: 2, rest: 0, leaving: 0 })
})

void t.test('drain crew: one that ends by itself meanwhile is not told', async (t) => {
  const devices = many(3, false)
  const { counters, after } = crewOf(devices, 100)
  after(50)
  for (const device of devices) device.standing = false
  after(50)
  t.equal(gone(devices), 0)
  t.same(counters.ended, new DrainCounters().ended)
})

void t.test('drain crew: without a rate all idle ones go at once', async (t) => {
  const devices = [...many(500, true), ...many(500, false)]
  const { crew, counters } = crewOf(devices, 0)
  crew.tick()
  t.equal(gone(devices), 500)
  t.equal(counters.leaving, 500)
})

void t.test('drain crew: it has finished when no connection stands, and hurries when it must', async (t) => {
  t.equal(
    await new Promise((resolve) => void crewOf([], 1).crew.run(new AbortController().signal).then(resolve)),
    undefined,
  )
  const devices = [...many(5, true), ...many(5, false)]
  const { crew, counters, time } = crewOf(devices, 1 / 60)
  crew.tick()
  t.equal(gone(devices), 1)
  crew.tick(true)
  t.equal(gone(devices), 5, 'whoever rests goes at once')
  t.ok(devices.every((device) => device.left > 0 || device.letGone))
  time.now += SHORT_MOMENT_MS
  crew.tick(true)
  t.equal(gone(devices), 10)
  t.same(counters.ended, { idle: 1, busy: 0, rest: 9 })

  const slow = many(2, true, true)
  const other = crewOf(slow, 0)
  let over = false
  const running = other.crew.run(new AbortController().signal).then(() => (over = true))
  await new Promise((resolve) => setTimeout(resolve, 120))
  t.equal(over, false, 'their acks are not stored yet')
  for (const device of slow) device.standing = false
  await running
  t.same(
    slow.map(({ left }) => left),
    [1, 1],
    'each is told once',
  )
})
