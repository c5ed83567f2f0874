import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import type { Progress, ProgressChange } from '../../core/ports/webhook-store.js'
import { type Delivery, DeliveryQueue } from '../../push-api/webhooks/delivery-queue.js'

const LIMITS = { window: 100, parkedMax: 100, parkedMaxBytes: 1e6 }
const NOTHING: Progress = { cursors: new Map(), parked: [] }

const delivery = (log: string, n: number, device: string): Delivery => ({
  log,
  id: `${n}`,
  device,
  at: n,
  messageId: `${log}${n}`,
  body: `body ${n}`,
})

/** What a store makes of changes. */
class Store {
  readonly cursors = new Map<string, string>()
  readonly parked = new Map<string, string>()

  take({ cursors, park, unpark }: ProgressChange): void {
    for (const [log, cursor] of cursors) this.cursors.set(log, cursor)
    for (const { key, value } of park) this.parked.set(key, value)
    for (const key of unpark) this.parked.delete(key)
  }

  get progress(): Progress {
    const parked = [...this.parked].map(([key, value]) => ({ key, value })).toSorted((a, b) => (a.key < b.key ? -1 : 1))
    return { cursors: new Map(this.cursors), parked }
  }
}

const nextIds = (queue: DeliveryQueue, now: number): string[] => {
  const found: string[] = []
  for (let one = queue.next(now); one !== null; one = queue.next(now)) found.push(one.messageId)
  return found
}

t.test('delivery queue: one event of a device is on its way, other devices do not wait', async (t) => {
  const queue = new DeliveryQueue(LIMITS, NOTHING)
  const [a1, a2, b3] = [delivery('e', 1, 'a'), delivery('e', 2, 'a'), delivery('e', 3, 'b')]
  for (const one of [a1, a2, b3]) queue.add('e', one.id, one)
  t.same(nextIds(queue, 0), ['e1', 'e3'])
  queue.finished(b3)
  t.equal(queue.changes(), null, 'the first one holds the cursor')
  queue.finished(a1)
  const change = queue.changes()
  t.same(change?.change, { cursors: new Map([['e', '1']]), park: [], unpark: [] })
  t.same(nextIds(queue, 0), ['e2'])
})

t.test('delivery queue: one that fails is parked with what is behind it, and the cursor goes on', async (t) => {
  const store = new Store()
  const queue = new DeliveryQueue(LIMITS, NOTHING)
  const [a1, a2, b3] = [delivery('e', 1, 'a'), delivery('e', 2, 'a'), delivery('e', 3, 'b')]
  for (const one of [a1, a2, b3]) queue.add('e', one.id, one)
  nextIds(queue, 0)
  t.equal(queue.failed(a1, 500), 2)
  queue.finished(b3)
  queue.add('e', '4', delivery('e', 4, 'a'))
  queue.add('e', '5', null)
  const pending = queue.changes()
  if (pending === null) throw new Error('nothing changed')
  t.same(pending.change.cursors, new Map([['e', '5']]))
  t.equal(pending.change.park.length, 3)
  store.take(pending.change)
  queue.stored(pending)
  t.equal(queue.changes(), null)
  t.same(nextIds(queue, 499), [])
  t.equal(queue.nextAt, 500)

  const again = new DeliveryQueue(LIMITS, store.progress)
  t.equal(again.waiting, 3)
  t.same(nextIds(again, 0), ['e1'], 'another node goes on with it')
  again.finished(a1)
  t.same(nextIds(again, 0), ['e2'])
  const done = again.changes()
  t.equal(done?.change.unpark.length, 1)
})

t.test('delivery queue: what finds no room among the parked holds the cursor', async (t) => {
  const queue = new DeliveryQueue({ ...LIMITS, parkedMax: 1 }, NOTHING)
  const [a1, a2] = [delivery('e', 1, 'a'), delivery('e', 2, 'a')]
  for (const one of [a1, a2]) queue.add('e', one.id, one)
  nextIds(queue, 0)
  t.equal(queue.failed(a1, 0), 1)
  t.same(queue.changes()?.change.cursors, new Map([['e', '1']]))
})

t.test('delivery queue: whatever fails and whoever dies, each event is taken, per device in order', async (t) => {
  const event = fc.record({ device: fc.constantFrom('a', 'b', 'c'), wanted: fc.boolean() })
  const step = fc.constantFrom('read', 'ok', 'fail', 'down', 'store', 'die', 'time')
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 30 }),
      fc.array(step, { maxLength: 120 }),
      fc.nat(5),
      (log, steps, room) => {
        const store = new Store()
        const taken: Delivery[] = []
        let now = 0
        let read = 0
        let onTheWay: Delivery[] = []
        let queue = new DeliveryQueue({ ...LIMITS, parkedMax: room }, store.progress)
        const readOne = (): void => {
          const one = log[read]
          if (one === undefined || queue.room('e') <= 0) return
          read++
          queue.add('e', `${read}`, one.wanted ? delivery('e', read, one.device) : null)
        }
        const commit = (): void => {
          const pending = queue.changes()
          if (pending === null) return
          store.take(pending.change)
          queue.stored(pending)
        }
        const send = (): Delivery | undefined => {
          for (let one = queue.next(now); one !== null; one = queue.next(now)) onTheWay.push(one)
          return onTheWay.shift()
        }
        const run: Record<(typeof steps)[number], () => void> = {
          read: readOne,
          ok() {
            const one = send()
            if (one === undefined) return
            taken.push(one)
            queue.finished(one)
          },
          fail() {
            const one = send()
            if (one !== undefined) queue.failed(one, now + 2)
          },
          down() {
            const one = send()
            if (one !== undefined) queue.returned(one)
          },
          store: commit,
          die() {
            onTheWay = []
            queue = new DeliveryQueue({ ...LIMITS, parkedMax: room }, store.progress)
            read = Number(store.cursors.get('e') ?? 0)
          },
          time() {
            now++
          },
        }
        for (const one of steps) run[one]()
        run.die()
        for (let i = 0; i < 500 && (read < log.length || queue.waiting > 0); i++) {
          readOne()
          run.ok()
          now++
        }
        commit()
        const first = [...new Set(taken.map(({ id }) => Number(id)))]
        for (const device of ['a', 'b', 'c']) {
          const wanted = log.flatMap((one, i) => (one.wanted && one.device === device ? [i + 1] : []))
          assert.deepEqual(
            first.filter((n) => log[n - 1]?.device === device),
            wanted,
          )
        }
        assert.equal(store.parked.size, 0)
        assert.equal(Number(store.cursors.get('e') ?? 0), log.length)
      },
    ),
    { numRuns: 500 },
  )
  t.pass()
})
