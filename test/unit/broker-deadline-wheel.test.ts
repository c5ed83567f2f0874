import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { DeadlineWheel, NO_SLOT, type Timed } from '../../broker/deadline-wheel.js'

const TICK = 500
const WALL = 1_800_000_000_000

class Item implements Timed {
  slot = NO_SLOT
  looks = 0
  expired = 0
  #deadline: number

  constructor(deadline: number) {
    this.#deadline = deadline
  }

  get deadline(): number {
    this.looks++
    return this.#deadline
  }

  set deadline(at: number) {
    this.#deadline = at
  }

  expire(): void {
    this.expired++
    this.#deadline = Infinity
  }
}

/** A wheel whose time both clocks tell. */
function rig(slots?: number) {
  const wheel = new DeadlineWheel<Item>(TICK, 0, slots)
  let elapsed = 0
  return {
    wheel,
    now: () => WALL + elapsed,
    watch: (item: Item) => wheel.watch(item, WALL + elapsed),
    /** Time passes, with a tick every half second. */
    pass: (ms: number): void => {
      const end = elapsed + ms
      while (elapsed < end) {
        elapsed = Math.min(end, (Math.floor(elapsed / TICK) + 1) * TICK)
        if (elapsed % TICK === 0) wheel.advance(elapsed, WALL + elapsed)
      }
    },
    freeze: (ms: number): void => {
      elapsed += ms
      wheel.advance(elapsed, WALL + elapsed)
    },
  }
}

void t.test('deadline wheel: tells once, not before the deadline, and at most two ticks after it', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ at: fc.nat({ max: 400_000 }), in: fc.nat({ max: 400_000 }) }), { maxLength: 20 }),
      (plans) => {
        const { now, watch, pass } = rig()
        const items = plans
          .toSorted((a, b) => a.at - b.at)
          .map((plan) => {
            pass(WALL + plan.at - now())
            const item = new Item(now() + plan.in)
            watch(item)
            return { item, deadline: now() + plan.in }
          })
        while (now() < WALL + 802_000) {
          pass(TICK)
          for (const { item, deadline } of items) {
            if (now() < deadline) assert.equal(item.expired, 0)
            if (now() >= deadline + 2 * TICK) assert.equal(item.expired, 1)
          }
        }
      },
    ),
    { numRuns: 25 },
  )
})

void t.test('deadline wheel: an earlier deadline is told of, a later one is found by itself', async (t) => {
  const { now, watch, pass } = rig()
  const item = new Item(now() + 300_000)
  watch(item)
  pass(10_000)
  item.deadline = now() + 2_000
  watch(item)
  pass(1_500)
  t.equal(item.expired, 0)
  item.deadline = now() + 200_000
  pass(199_500)
  t.equal(item.expired, 0)
  pass(1_500)
  t.equal(item.expired, 1)
})

void t.test('deadline wheel: what is forgotten, or has no deadline, is never told', async (t) => {
  const { wheel, now, watch, pass } = rig()
  const gone = new Item(now() + 1_000)
  const endless = new Item(Infinity)
  watch(gone)
  watch(endless)
  wheel.forget(gone)
  wheel.forget(endless)
  pass(400_000)
  t.same([gone.expired, endless.expired], [0, 0])
})

void t.test('deadline wheel: one that is forgotten while its slot is looked into stays forgotten', async (t) => {
  const { wheel, now, watch, pass } = rig()
  const second = new Item(now() + 1_000)
  const first = new (class extends Item {
    override expire(): void {
      super.expire()
      second.deadline = Infinity
      wheel.forget(second)
    }
  })(now() + 1_000)
  watch(first)
  watch(second)
  pass(400_000)
  t.equal(first.expired, 1)
  t.equal(second.slot, NO_SLOT)
})

void t.test('deadline wheel: a tick looks at few of many', async (t) => {
  const { now, watch, pass } = rig()
  const items = Array.from({ length: 12_000 }, (_, i) => new Item(now() + 86_400_000 + i))
  for (const item of items) watch(item)
  pass(60_000)
  for (const item of items) item.looks = 0
  pass(60_000)
  const looks = items.reduce((sum, item) => sum + item.looks, 0)
  t.ok(looks <= 3 * items.length, `${looks} looks in 120 ticks`)
})

void t.test('deadline wheel: after a freeze everything that is due is told', async (t) => {
  const { now, watch, freeze } = rig()
  const items = [100, 1_000, 59_000, 61_000, 3_600_000].map((ms) => new Item(now() + ms))
  for (const item of items) watch(item)
  freeze(7_200_000)
  t.same(
    items.map(({ expired }) => expired),
    [1, 1, 1, 1, 1],
  )
  const next = new Item(now() + 1_000)
  watch(next)
  freeze(1_500)
  t.equal(next.expired, 1, 'and time goes on')
})

void t.test('deadline wheel: a wall clock that is set makes nothing more than a turn late', async (t) => {
  const wheel = new DeadlineWheel<Item>(TICK, 0)
  const item = new Item(WALL + 3_600_000)
  wheel.watch(item, WALL)
  let elapsed = 0
  const jump = 4_000_000
  while (item.expired === 0 && elapsed < 300_000) {
    elapsed += TICK
    wheel.advance(elapsed, WALL + jump + elapsed)
  }
  t.equal(item.expired, 1)
  t.ok(elapsed <= 60_000, `${elapsed} ms`)
})
