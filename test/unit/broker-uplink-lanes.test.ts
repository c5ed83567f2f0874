import t, { type Test } from 'tap'
import { UplinkClient } from '../../broker/uplink/uplink-client.js'
import { UplinkRefused } from '../../broker/uplink/uplink-lane.js'
import { OutcomeUnknown, StoreUnavailable } from '../../core/errors.js'
import { laneWorld, turn, uplink } from '../support/broker/uplink-lanes.js'

/** Real time passes until the lanes have been looked at. */
async function looked(t: Test, condition: () => boolean): Promise<void> {
  const end = performance.now() + 3_000
  while (!condition()) {
    if (performance.now() > end) throw new Error('the lanes were not looked at')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  t.pass('in time')
}

void t.test('uplink lanes: what comes in one turn goes to the store in one call, of all connections', async (t) => {
  const { connect, calls, call, counters } = laneWorld()
  const [a, b] = [connect('a'), connect('b')]
  a.send('a1', 1)
  b.toss('b1')
  a.send('a2', 2)
  t.equal(calls.length, 0)
  await turn()
  t.strictSame(
    calls.map(({ items }) => items),
    [['a1', 'a2', 'b1']],
  )
  t.strictSame(a.acked, [], 'nothing is acknowledged before it is stored')
  await call(0).answer()
  t.strictSame(a.acked, [1, 2])
  t.match(counters, { stored: 3, storedBytes: 6, duplicates: 0 })
})

void t.test('uplink lanes: the next call of a device waits for the one before', async (t) => {
  const { connect, calls, call } = laneWorld()
  const [a, b] = [connect('a'), connect('b')]
  a.send('1', 1)
  await turn()
  a.send('2', 2)
  a.send('3', 3)
  b.send('b', 9)
  await turn()
  t.strictSame(
    calls.map(({ items }) => items),
    [['1'], ['b']],
    'another device does not wait',
  )
  await call(0).answer()
  t.strictSame(calls[2]?.items, ['2', '3'])
  await call(2).answer()
  t.strictSame(a.acked, [1, 2, 3])
  t.ok(a.lane.empty)
})

void t.test('uplink lanes: behind one that is refused nothing is stored, and the connection ends', async (t) => {
  const { connect, calls, call, counters } = laneWorld()
  const a = connect('a')
  a.send('1', 1)
  a.send('2', 2)
  a.send('3', 3)
  await turn()
  a.send('4', 4)
  a.toss('5')
  await call(0).answer('ok', 'full', 'full')
  t.strictSame(a.acked, [1])
  t.strictSame(a.refused, ['full'], 'told once')
  a.send('6', 6)
  await turn()
  t.equal(calls.length, 1)
  t.match(counters.refused, { full: 2, behind_refused: 3 })
  t.ok(a.lane.empty)
})

void t.test('uplink lanes: QoS 0 is dropped and counted, and the connection goes on', async (t) => {
  const { connect, call, counters } = laneWorld()
  const a = connect('a')
  a.toss('1')
  a.toss('2')
  await turn()
  await call(0).answer('ok', 'full')
  a.toss('3')
  await turn()
  await call(1).fail(new StoreUnavailable('down'))
  a.send('4', 4)
  await turn()
  await call(2).answer()
  t.strictSame(a.refused, [])
  t.strictSame(a.acked, [4])
  t.match(counters, { stored: 2, refused: { full: 1, store_unavailable: 1 } })
})

void t.test('uplink lanes: a store that fails ends the connections with QoS 1 under way, by reason', async (t) => {
  const { connect, call, counters } = laneWorld()
  for (const [i, [error, reason]] of (
    [
      [new StoreUnavailable('down'), 'store_unavailable'],
      [new OutcomeUnknown('who knows'), 'outcome_unknown'],
      [new TypeError('a fault of ours'), 'outcome_unknown'],
    ] as const
  ).entries()) {
    const [a, b] = [connect('a'), connect('b')]
    a.send('1', 1)
    b.toss('1')
    await turn()
    await call(i).fail(error)
    t.strictSame(a.refused, [reason])
    t.strictSame(a.acked, [])
    t.strictSame(b.refused, [])
  }
  t.match(counters, { stored: 0, refused: { store_unavailable: 2, outcome_unknown: 4 } })
})

void t.test('uplink lanes: what is not stored in 5 s is refused; the store may still do it', async (t) => {
  const { connect, clock, call, counters } = laneWorld()
  const [a, b] = [connect('a'), connect('b')]
  a.send('1', 1)
  b.toss('1')
  await turn()
  clock.advance(2_000)
  a.send('2', 2)
  b.toss('2')
  clock.advance(2_999)
  await new Promise((resolve) => setTimeout(resolve, 600))
  t.strictSame(a.refused, [], 'not before')
  clock.advance(1)
  await looked(t, () => a.refused.length > 0)
  t.strictSame([a.refused, b.refused], [['timeout'], []], 'a connection with QoS 0 alone goes on')
  t.equal(counters.refused.timeout, 3, 'what waited behind, and what nobody is told of any more')
  await call(0).answer()
  t.strictSame(a.acked, [], 'too late for a PUBACK')
  t.match(counters, { stored: 2 })
  b.send('3', 3)
  await turn()
  await call(1).answer()
  t.strictSame(b.acked, [3])
})

void t.test('uplink lanes: a newer connection of a device waits for the older one', async (t) => {
  const { connect, calls, call } = laneWorld()
  const [old, young, third] = [connect('a'), connect('a'), connect('a')]
  old.send('1', 1)
  await turn()
  old.send('2', 2)
  young.send('3', 1)
  third.send('4', 1)
  await turn()
  t.equal(calls.length, 1)
  await call(0).answer()
  t.strictSame(calls[1]?.items, ['2'])
  await call(1).answer()
  t.strictSame(calls[2]?.items, ['3'])
  await call(2).answer()
  t.strictSame(calls[3]?.items, ['4'])
  await call(3).answer()
  t.strictSame([old.acked, young.acked, third.acked], [[1, 2], [1], [1]])
})

void t.test('uplink lanes: waiting for an older connection ends in time too, and stops nobody', async (t) => {
  const { connect, clock, calls, call } = laneWorld()
  const [old, young, third] = [connect('a'), connect('a'), connect('a')]
  old.send('1', 1)
  await turn()
  young.send('2', 1)
  clock.advance(5_000)
  third.send('3', 1)
  await looked(t, () => young.refused.length > 0)
  t.strictSame(young.refused, ['timeout'])
  await call(0).answer()
  t.strictSame(calls[1]?.items, ['3'], 'what was refused is not stored')
  await call(1).answer()
  t.strictSame(third.acked, [1])
})

void t.test('uplink lanes: a will comes behind what its connection sent, also when that was refused', async (t) => {
  const { writer, connect, calls, call, counters } = laneWorld()
  const a = connect('a')
  a.send('1', 1)
  await turn()
  a.send('2', 2)
  const stored = writer.will('a', 'c', Buffer.from('gone'))
  await call(0).answer()
  t.strictSame(calls[1]?.items, ['2'])
  await call(1).answer()
  t.strictSame(calls[2]?.items, ['gone'])
  await call(2).answer()
  await stored
  const b = connect('b')
  b.send('1', 1)
  await turn()
  const refused = t.rejects(writer.will('b', 'c', Buffer.from('gone')), UplinkRefused)
  await call(3).answer('full')
  t.strictSame(calls[4]?.items, ['gone'])
  await call(4).answer('full')
  await refused
  t.match(counters, { stored: 3, wills: 1, refused: { full: 2 } })
})

void t.test('uplink lanes: sent again with DUP while it waits is found', async (t) => {
  const { connect, call } = laneWorld()
  const a = connect('a')
  a.send('1', 1)
  await turn()
  a.send('2', 2)
  t.ok(a.lane.holds(uplink('a', '1'), 1), 'under way')
  t.ok(a.lane.holds(uplink('a', '2'), 2), 'waiting')
  t.notOk(a.lane.holds(uplink('a', '2'), 1), 'another payload')
  t.notOk(a.lane.holds({ ...uplink('a', '1'), channel: 'd' }, 1), 'another channel')
  await call(0).answer()
  t.notOk(a.lane.holds(uplink('a', '1'), 1), 'acknowledged: from now on it is another one')
})

void t.test('uplink lanes: full by its own bytes and by those of all; open again when stored', async (t) => {
  const { connect, call } = laneWorld({ maxBytes: 100_000 })
  const [a, b, c] = [connect('a'), connect('b'), connect('c')]
  a.send('x'.repeat(60_000), 1)
  t.notOk(a.lane.full)
  a.send('x'.repeat(10_000), 2)
  t.ok(a.lane.full, 'its own')
  b.send('x'.repeat(20_000), 1)
  t.notOk(b.lane.full)
  await turn()
  b.send('x'.repeat(20_000), 2)
  t.ok(b.lane.full, 'of all')
  t.notOk(c.lane.full, 'one that holds nothing may always go on')
  await call(0).answer()
  t.notOk(a.lane.full)
  t.notOk(b.lane.full)
  t.ok(a.opened > 0 && b.opened > 0)
})

void t.test('uplink lanes: settled when all is stored, and after a while in any case', async (t) => {
  const { writer, connect, call } = laneWorld()
  await writer.settled()
  const a = connect('a')
  a.send('1', 1)
  let settled = false
  const waiting = writer.settled().then(() => {
    settled = true
  })
  await turn()
  t.notOk(settled)
  await call(0).answer()
  await waiting
  t.ok(settled)
})

void t.test('uplink client: why an uplink was refused decides how the connection is closed', async (t) => {
  const { writer, call } = laneWorld()
  const closes: string[] = []
  const connection = { close: (reason: string) => void closes.push(reason), sessionIdle: () => {}, waits: () => {} }
  const packet = { cmd: 'publish', topic: '', payload: Buffer.alloc(0), qos: 1, retain: false, dup: false } as const
  for (const [i, code] of (['full', 'dedup_conflict'] as const).entries()) {
    const client = new UplinkClient(writer, connection, `d${i}`)
    const fields = { channel: 'c', contentType: null, dedupId: 'one', payload: Buffer.alloc(1) }
    const stored = client.publish({ ...packet, messageId: 1 }, fields)
    if (!(stored instanceof Promise)) throw new Error('it is QoS 1, and new')
    const refused = t.rejects(stored, UplinkRefused)
    await turn()
    await call(i).answer(code)
    await refused
  }
  t.strictSame(closes, ['uplink_refused', 'protocol_error'])
})
