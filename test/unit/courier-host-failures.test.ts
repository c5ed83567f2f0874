import t from 'tap'
import { CourierWorld, TestDevice, until, upTo } from '../support/courier-world.js'

void t.test('courier host: reads that fail are tried again, the connection stays', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host()
  await world.push('d', 5)
  world.failing.methods.add('read')
  const { device } = await world.connect(host, 'd')
  await until('it failed twice', () => counters.readErrors >= 2)
  world.failing.methods.clear()
  await until('all', () => device.got.length === 5)
  t.equal(device.closed, null)
})

void t.test('courier host: flushes that fail are tried again', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host()
  const { device } = await world.connect(host, 'd')
  world.failing.methods.add('ack')
  await world.push('d', 5)
  await until('it failed twice', () => counters.flushErrors >= 2)
  t.equal(await world.pending('d'), 5)
  world.failing.methods.clear()
  await until('stored', async () => (await world.pending('d')) === 0)
  t.equal(device.closed, null)
  t.strictSame(device.got, upTo(5))
})

void t.test('courier host: what has waited for a slow store need not wait for the delay, too', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ ackDelayMs: 1_000 })
  const calls = () => world.failing.calls['ack'] ?? 0
  await world.connect(host, 'd')
  world.failing.slowMs['ack'] = 1_500
  await world.push('d', 1)
  await until('the first call', () => calls() === 1)
  await world.push('d', 1)
  await until('the second ack', () => counters.acked === 2)
  await until('the first answer', () => counters.flushes >= 1)
  const from = performance.now()
  await until('the second call', () => calls() === 2)
  const took = performance.now() - from
  t.ok(took < 800, `after ${Math.round(took)} ms`)
  await until('stored', async () => (await world.pending('d')) === 0)
})

void t.test(
  'courier host: acks that a store did not take go out when it answers again, not after the pause',
  async (t) => {
    const world = await CourierWorld.open(t)
    const { host, counters } = await world.host({ unconfirmedMs: 300, tickMs: 20 })
    await world.connect(host, 'd')
    world.failing.methods.add('ack')
    await world.push('d', 5)
    await until('the pause to be seconds long', () => counters.flushErrors >= 8)
    world.failing.methods.clear()
    const from = performance.now()
    await until('stored', async () => (await world.pending('d')) === 0)
    t.ok(performance.now() - from < 1_500, `after ${Math.round(performance.now() - from)} ms`)
  },
)

void t.test('courier host: acks of a connection that has ended are stored when the store is back', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ ackDelayMs: 10_000 })
  const { courier } = await world.connect(host, 'd')
  await world.push('d', 5)
  await until('all acked', () => counters.acked === 5)
  world.failing.methods.add('ack')
  await courier.ended()
  t.equal(await world.pending('d'), 5)
  t.equal(await world.owner('d'), null)
  world.failing.methods.clear()
  await until('stored', async () => (await world.pending('d')) === 0)
})

void t.test('courier host: a store that is down delays the end of a socket by the grace time only', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host({ closeGraceMs: 100 })
  const { courier, device } = await world.connect(host, 'd')
  world.failing.methods.add('release')
  const closing = courier.close('overload')
  await until('closed', () => device.closed === 'overload')
  world.failing.methods.clear()
  await closing
  t.equal(await world.owner('d'), null)
})

void t.test('courier host: cut off from the store it sends nothing until its claims are confirmed', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ unconfirmedMs: 150 })
  const kept = await world.connect(host, 'kept')
  const lost = await world.connect(host, 'lost', new TestDevice(false))
  for (const method of ['ping', 'heads', 'read', 'ack']) world.failing.methods.add(method)
  await until('it doubts', () => counters.unconfirmedHolds === 1)
  await world.push('kept')
  await world.push('lost')
  await world.store.claim('lost', { node: 'other', claimId: 'another' }, { force: true })
  t.strictSame([kept.device.got, lost.device.got], [[], []])
  world.failing.methods.clear()
  await until('the kept one receives', () => kept.device.got.length === 1)
  await until('the lost one is closed', () => lost.device.closed === 'taken_over')
  t.strictSame(lost.device.got, [])
})

void t.test('courier host: a process that was frozen doubts its claims before it writes', async (t) => {
  const world = await CourierWorld.open(t)
  let slept = 0
  const clock = { now: () => Date.now(), monotonic: () => performance.now() + slept }
  const { host, counters } = await world.host({ clock, tickMs: 60_000, unconfirmedMs: 3_000, unackedMs: 5_000 })
  const { device } = await world.connect(host, 'd')
  await world.push('d')
  t.strictSame(device.got, [1])
  await until('settled', async () => (await world.pending('d')) === 0)
  slept = 3_500
  const seq = await world.push('d')
  t.equal(counters.unconfirmedHolds, 1)
  t.strictSame(device.got, [1], 'the notice came before any timer, and was not sent')
  t.equal(seq, 2)
})

void t.test('courier host: the store loses what it had: the sweep notices and closes to resync', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ sweepIntervalMs: 200 })
  const { device } = await world.connect(host, 'd')
  await world.push('d', 3)
  await until('settled', async () => (await world.pending('d')) === 0)
  await world.store.purge('d')
  await world.push('d', 1)
  await until('closed', () => device.closed !== null)
  t.equal(device.closed, 'resync')
  t.equal(counters.sweepFindings.close, 1)
  const again = await world.connect(host, 'd')
  await until('the new message', () => again.device.got.length === 1)
})
