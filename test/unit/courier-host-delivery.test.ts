import t from 'tap'
import { CourierWorld, TestDevice, until, upTo } from '../support/courier-world.js'

void t.test('courier host: backlog, then live, in order, each once; acks reach the store', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host()
  await world.push('d', 200)
  const { device } = await world.connect(host, 'd')
  const pushed = Promise.all(upTo(20).map(() => world.push('d', 5)))
  await until('all', () => device.got.length >= 300)
  await pushed
  t.strictSame(device.got, upTo(300))
  await until('acks are stored', async () => (await world.pending('d')) === 0)
  await world.push('d', 1)
  await until('live', () => device.got.length === 301)
  t.ok(counters.noticesTaken > 0)
  t.equal(counters.redelivered, 0)
})

void t.test('courier host: with every notice lost, messages come within the sweep interval', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ sweepIntervalMs: 400 })
  const { device } = await world.connect(host, 'd')
  world.lost.notices = true
  for (let seq = 1; seq <= 3; seq++) {
    await world.push('d')
    const pushedAt = performance.now()
    await until(`message ${seq}`, () => device.got.length === seq)
    t.ok(performance.now() - pushedAt < 600, `after ${Math.round(performance.now() - pushedAt)} ms`)
  }
  t.equal(counters.sweepFindings.head, 3)
  t.equal(counters.noticesMissed, 3)
})

void t.test('courier host: a gap on the bus starts a sweep at once', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  const { device } = await world.connect(host, 'd')
  world.lost.notices = true
  await world.push('d')
  world.gap()
  await until('it is found', () => device.got.length === 1)
})

void t.test('courier host: acks of many devices are one call', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host({ ackDelayMs: 100 })
  const names = upTo(50).map((n) => `d${n}`)
  await Promise.all(names.map((name) => world.connect(host, name)))
  t.equal(host.size, 50)
  await Promise.all(names.map((name) => world.push(name)))
  await until('acks are stored', async () => {
    const pending = await Promise.all(names.map((name) => world.pending(name)))
    return pending.every((n) => n === 0)
  })
  t.ok((world.failing.calls['ack'] ?? 0) <= 4, `${world.failing.calls['ack']} calls`)
})

void t.test(
  'courier host: a device that never acknowledges gets its window, then DUPs on its next connection',
  async (t) => {
    const world = await CourierWorld.open(t)
    const { host, counters } = await world.host({ window: 5 })
    await world.push('d', 8)
    const first = await world.connect(host, 'd', new TestDevice(false))
    await until('the window', () => first.device.got.length === 5)
    await until('the watermark is stored', async () => {
      const state = await world.store.state('d', 5, null)
      return state.kind === 'known' && state.state === 'sent'
    })
    await first.courier.ended()
    const second = await world.connect(host, 'd')
    await until('all', () => second.device.got.length === 8)
    t.strictSame(first.device.got, upTo(5))
    t.strictSame(second.device.got, upTo(8))
    t.strictSame(second.device.redelivered, upTo(5))
    t.equal(counters.redelivered, 5)
  },
)

void t.test('courier host: pause and begin; keepSubscription is there for the next connection', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  const { courier, device } = await world.connect(host, 'd')
  t.equal(courier.keptSubscription, null)
  await courier.keepSubscription('inbox/d')
  courier.pause()
  await world.push('d', 3)
  await new Promise((resolve) => {
    setTimeout(resolve, 50)
  })
  t.strictSame(device.got, [])
  courier.begin('plain')
  await until('all', () => device.got.length === 3)
  await courier.ended()
  const again = await world.connect(host, 'd')
  t.equal(again.courier.keptSubscription, 'inbox/d')
})

void t.test('courier host: a socket that does not drain is closed, another device is not delayed', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ bufferLimit: 100, fullBufferMs: 150 })
  const slow = await world.connect(host, 'slow', new TestDevice(false))
  const quick = await world.connect(host, 'quick')
  slow.device.buffered = 100
  await world.push('slow', 5)
  await world.push('quick', 5)
  await until('the quick one has all', () => quick.device.got.length === 5)
  t.strictSame(slow.device.got, [1])
  await until('the slow one is closed', () => slow.device.closed !== null)
  t.equal(slow.device.closed, 'slow_consumer')
  t.equal(counters.closesByCode.slow_consumer, 1)
  await until('its claim is released', async () => (await world.owner('slow')) === null)
})

void t.test('courier host: silence with messages in flight is ended', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host({ unackedMs: 150 })
  const { courier, device } = await world.connect(host, 'd', new TestDevice(false))
  await world.push('d')
  for (let i = 0; i < 10; i++) {
    courier.heard()
    await new Promise((resolve) => {
      setTimeout(resolve, 30)
    })
  }
  t.equal(device.closed, null, 'its pings keep it')
  await until('silent', () => device.closed === 'slow_consumer')
})
