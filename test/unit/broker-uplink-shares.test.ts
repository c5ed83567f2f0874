import t from 'tap'
import { uplinkShare } from '../../broker/uplink/uplink-shares.js'
import { StoreUnavailable } from '../../core/errors.js'
import { laneWorld, turn } from '../support/broker/uplink-lanes.js'

void t.test('uplink shares: a device that has its own is refused, in order, and others are not', async (t) => {
  // Half of it at once: 1,000 bytes, of which each of these uplinks takes 166.
  const { connect, call, calls, counters, clock } = laneWorld({ perDevice: uplinkShare(2_000, 1_000) })
  const hundred = 'x'.repeat(100)
  const [a, b] = [connect('a'), connect('b')]
  for (let i = 1; i <= 4; i++) a.send(hundred, i)
  await turn()
  await call(0).answer('ok', 'ok', 'duplicate')
  t.strictSame(a.acked, [1, 2, 3, 4])
  for (let i = 5; i <= 8; i++) a.send(hundred, i)
  a.send('', 9)
  b.send(hundred, 1)
  await turn()
  t.equal(call(1).items.length, 4, 'three of a, which has 502 bytes left, and that of b')
  await call(1).answer()
  t.strictSame(a.acked, [1, 2, 3, 4, 5, 6, 7], 'nothing behind the one that found no room, however small')
  t.strictSame(b.acked, [1])
  t.strictSame(a.refused, ['device_full'])
  t.match(counters.refused, { device_full: 2, full: 0 })

  const again = connect('a')
  again.send(hundred, 1)
  await turn()
  t.strictSame(again.refused, ['device_full'], 'another connection has the same share')
  t.equal(calls.length, 2, 'and the store is not asked')
  clock.advance(200_000)
  const later = connect('a')
  later.send(hundred, 1)
  await turn()
  await call(2).answer()
  t.strictSame(later.acked, [1], 'the other half comes with time')
})

void t.test('uplink shares: what the store does not take is not counted', async (t) => {
  const { connect, call } = laneWorld({ perDevice: uplinkShare(400, 1_000) })
  for (let i = 0; i < 5; i++) {
    const side = connect('a')
    side.send('x'.repeat(100), 1)
    await turn()
    if (i % 2 === 0) await call(i).fail(new StoreUnavailable('down'))
    else await call(i).answer('full')
    t.strictSame(side.refused, [i % 2 === 0 ? 'store_unavailable' : 'full'])
  }
  const side = connect('a')
  side.send('x'.repeat(1_000), 1)
  side.send('y', 2)
  await turn()
  t.strictSame(call(5).items, ['x'.repeat(10)], 'a large one has room once, and nothing behind it')
  await call(5).answer()
  t.strictSame(side.acked, [1])
  t.strictSame(side.refused, ['device_full'])
})
