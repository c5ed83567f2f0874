import t from 'tap'
import { ConnectGate } from '../../broker/connect-gate.js'
import { Doorway, type Stranger } from '../../broker/doorway.js'
import { Intake, type Wait } from '../../broker/intake.js'
import { IntakeMemory } from '../../broker/intake-memory.js'
import { DEFAULT_BROKER_LIMITS, PACKETS_PER_TURN } from '../../broker/limits.js'
import { topicExcess } from '../../broker/topic-limits.js'
import { RateTable } from '../../core/limits/rate-table.js'
import { SocketBudget } from '../../core/limits/socket-budget.js'
import { UNLIMITED } from '../../core/limits/token-bucket.js'

const NO_ADDRESSES = new RateTable(UNLIMITED)
const PUBLISH = 0x30
const PINGREQ = 0xc0
const PUBACK = 0x40
const DISCONNECT = 0xe0

void t.test('intake: publishes, other packets and bytes have a rate each', async (t) => {
  const limits = {
    publishesPerDevice: { perSecond: 10, burst: 2 },
    packetsPerDevice: { perSecond: 5, burst: 1 },
    bytesPerDevice: { perSecond: 1_000, burst: 100 },
  }
  const intake = new Intake(limits, 0)
  const begin = (first: number, now: number): Wait | null => intake.begin(first, now, '', NO_ADDRESSES)
  t.same([begin(PUBLISH, 0), begin(PUBLISH, 0)], [null, null])
  t.same(begin(PUBLISH, 0), { reason: 'publishes', ms: 100 })
  t.equal(begin(PINGREQ, 0), null, 'another rate')
  t.same(begin(PINGREQ, 0), { reason: 'packets', ms: 200 })
  t.equal(begin(DISCONNECT, 0), null, 'goodbye is free')
  t.equal(begin(PUBLISH, 100), null)
  t.match(begin(PUBLISH, 100), { reason: 'publishes' })

  t.equal(intake.received(100, 0), null)
  t.same(intake.received(500, 0), { reason: 'bytes', ms: 500 })
})

void t.test('intake: acknowledgements cost little', async (t) => {
  const limits = { ...DEFAULT_BROKER_LIMITS, packetsPerDevice: { perSecond: 10, burst: 1 } }
  const intake = new Intake(limits, 0)
  const acks = Array.from({ length: 25 }, () => intake.begin(PUBACK, 0, '', NO_ADDRESSES))
  t.equal(acks.filter((wait) => wait === null).length, 20)
})

void t.test('intake: after so many packets others have their turn', async (t) => {
  const free = { publishesPerDevice: UNLIMITED, packetsPerDevice: UNLIMITED, bytesPerDevice: UNLIMITED }
  const intake = new Intake(free, 0)
  for (let i = 0; i < PACKETS_PER_TURN; i++) t.equal(intake.begin(PUBLISH, 0, '', NO_ADDRESSES), null)
  t.same(intake.begin(PUBLISH, 0, '', NO_ADDRESSES), { reason: 'turn', ms: 0 })
  intake.nextTurn()
  t.equal(intake.begin(PUBLISH, 0, '', NO_ADDRESSES), null)
})

void t.test('intake: devices of one address share its rate', async (t) => {
  const table = new RateTable({ perSecond: 1, burst: 1 })
  const one = new Intake(DEFAULT_BROKER_LIMITS, 0)
  const two = new Intake(DEFAULT_BROKER_LIMITS, 0)
  t.equal(one.begin(PUBLISH, 0, 'a', table), null)
  t.same(two.begin(PUBLISH, 0, 'a', table), { reason: 'publishes_of_address', ms: 1_000 })
  t.equal(two.begin(PUBLISH, 0, 'b', table), null)
})

void t.test('intake memory: who comes back has what was left, and in time all of it', async (t) => {
  const limits = { ...DEFAULT_BROKER_LIMITS, publishesPerDevice: { perSecond: 1, burst: 10 } }
  const memory = new IntakeMemory(limits)
  const publishes = (intake: Intake, now: number): number => {
    for (let count = 0; ; count++) if (intake.begin(PUBLISH, now, '', NO_ADDRESSES) !== null) return count
  }
  let sent = 0
  for (let now = 0; now < 100_000; now += 500) {
    const intake = memory.open('p1', now)
    sent += publishes(intake, now)
    memory.keep('p1', intake, now)
  }
  t.equal(sent, 10 + 99, 'one burst and the rate, over two hundred connections')
  t.equal(publishes(memory.open('p2', 100_000), 100_000), 10, 'another device')
  t.equal(publishes(memory.open('p1', 120_000), 120_000), 10)
  for (let i = 0; i < 10; i++) memory.keep(`x${i}`, memory.open(`x${i}`, 120_000), 120_000)
  memory.open('y', 129_000)
  t.ok(memory.size >= 10, 'remembered until they are full')
  memory.open('y', 131_000)
  memory.open('y', 142_000)
  t.equal(memory.size, 0, 'and forgotten then')
})

void t.test('intake memory: a flood of devices does not make it grow', async (t) => {
  const memory = new IntakeMemory(DEFAULT_BROKER_LIMITS, 100)
  for (let i = 0; i < 10_000; i++) memory.keep(`p${i}`, memory.open(`p${i}`, 0), 0)
  t.ok(memory.size <= 200)
})

void t.test('connect gate: each limit, by its name', async (t) => {
  const limits = {
    ...DEFAULT_BROKER_LIMITS,
    maxConnections: 3,
    maxConnectionsPerAddress: 2,
    connects: { perSecond: 1, burst: 4 },
    connectsPerAddress: { perSecond: 1, burst: 3 },
    connectsPerDevice: { perSecond: 1, burst: 1 },
  }
  const gate = new ConnectGate(limits, 0)
  t.equal(gate.connect('10.0.0.1', 0), null)
  gate.enter('10.0.0.1')
  gate.enter('::ffff:10.0.0.1')
  t.equal(gate.connect('10.0.0.1', 0), 'address_connections')
  t.equal(gate.connect('10.0.0.2', 0), null, 'another address')
  gate.enter('10.0.0.2')
  t.equal(gate.connect('10.0.0.3', 0), 'overloaded')
  t.equal(gate.connect('10.0.0.3', 0), 'node_rate')
  t.equal(gate.connect('10.0.0.1', 0), 'node_rate')
  t.equal(gate.connect('10.0.0.1', 0), 'address_rate', 'which uses up none of the node’s')
  gate.leave('10.0.0.2')
  gate.leave('10.0.0.1')
  t.equal(gate.connect('10.0.0.1', 10_000), null)
  t.same([gate.connectOf('d', 0), gate.connectOf('d', 0), gate.connectOf('e', 0)], [true, false, true])
})

void t.test('doorway: bytes kept for strangers are bounded, all together', async (t) => {
  const budget = new SocketBudget(10)
  const door = new Doorway({ maxStrangers: 3, maxStrangerBytes: 1_000, maxLingering: 1 }, budget)
  const evicted: string[] = []
  const stranger = (name: string): Stranger => {
    const self = {
      strangerBytes: 0,
      evict() {
        evicted.push(name)
        door.isKnown(self)
        door.keepsNothing(self)
      },
    }
    return self
  }
  const [a, b, c, d] = [stranger('a'), stranger('b'), stranger('c'), stranger('d')]
  for (const each of [a, b, c]) door.comes(each)
  door.keeps(b, 600)
  door.keeps(c, 300)
  t.same(evicted, [])
  door.keeps(c, 300)
  t.same(evicted, ['a', 'b'], 'those who wait longest, until it fits')
  t.match({ bytes: door.bytes, strangers: door.strangers }, { bytes: 600, strangers: 1 })
  door.keeps(c, 600)
  t.same(evicted, ['a', 'b', 'c'], 'also whoever brings the bytes')
  t.equal(door.bytes, 0)

  door.lingers(a)
  door.lingers(d)
  t.same(evicted, ['a', 'b', 'c', 'a'], 'of those that were closed the oldest')
  door.isGone(d)
  door.lingers(b)
  t.equal(evicted.length, 4)
})

void t.test('topic limits: bytes and levels', async (t) => {
  const limits = { maxTopicBytes: 10, maxTopicLevels: 3 }
  t.equal(topicExcess('a/b/c', limits), null)
  t.equal(topicExcess('a/b/c/', limits), 'too_deep')
  t.equal(topicExcess('0123456789', limits), null)
  t.equal(topicExcess('0123456789a', limits), 'too_long')
  t.equal(topicExcess('ääääää', limits), 'too_long')
  t.equal(topicExcess('', limits), null)
})
