import t from 'tap'
import { ConnectionGone } from '../../courier/courier-api.js'
import { CourierWorld, TestDevice, until, upTo } from '../support/courier-world.js'

void t.test('courier host: a second connection takes over; what was acknowledged is not repeated', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ ackDelayMs: 5_000 })
  const first = await world.connect(host, 'd')
  await world.push('d', 10)
  await until('all acked', () => counters.acked === 10)
  first.device.acks = false
  await world.push('d', 2)
  const second = await world.connect(host, 'd')
  t.equal(first.device.closed, 'taken_over')
  await until('the rest', () => second.device.got.length === 2)
  t.strictSame(second.device.got, [11, 12])
  t.strictSame(second.device.redelivered, [11, 12])
  t.equal(host.size, 1)
  t.equal(counters.takeovers, 1)
  t.equal(counters.staleClaims, 0, 'the first one released in time')
  t.equal(await world.owner('d'), second.courier.claimId)
})

void t.test('courier host: of connections that come at one time exactly one survives, and it receives', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  for (let round = 1; round <= 40; round++) {
    const both = await Promise.all([world.connect(host, 'd'), world.connect(host, 'd'), world.connect(host, 'd')])
    const alive = both.filter(({ device }) => device.alive)
    t.equal(alive.length, 1)
    const seq = await world.push('d')
    await until('it receives', () => alive[0]?.device.got.at(-1) === seq)
    t.equal(await world.owner('d'), alive[0]?.courier.claimId)
  }
  t.equal(host.size, 1)
})

void t.test('courier host: another node takes over by kick', async (t) => {
  const world = await CourierWorld.open(t)
  const a = await world.host({ node: 'a' })
  const b = await world.host({ node: 'b' })
  const first = await world.connect(a.host, 'd', new TestDevice(false))
  await world.push('d', 3)
  const second = await world.connect(b.host, 'd')
  t.equal(first.device.closed, 'taken_over')
  await until('all', () => second.device.got.length === 3)
  t.strictSame([a.host.size, b.host.size], [0, 1])
})

void t.test('courier host: a node that is known to be gone is asked, and not waited for', async (t) => {
  const world = await CourierWorld.open(t)
  const asked: string[] = []
  const { host, counters } = await world.host({
    node: 'a',
    // It would be waited for longer than any test runs, and never answers.
    kickTimeoutMs: 3_600_000,
    bus: {
      ...world.bus,
      kick: (node) => {
        asked.push(node)
        return new Promise(() => {})
      },
    },
  })
  await world.mailbox.claim('d', { node: 'dead', claimId: 'left over' }, { force: false })
  const { courier } = await world.connect(host, 'd')
  t.equal(await world.owner('d'), courier.claimId)
  t.same(asked, ['dead'])
  t.equal(counters.staleClaims, 1)
})

void t.test('courier host: with kicks lost, the sweep of the old node finds out', async (t) => {
  const world = await CourierWorld.open(t)
  world.lost.kicks = true
  const a = await world.host({ node: 'a', sweepIntervalMs: 300 })
  const b = await world.host({ node: 'b' })
  const first = await world.connect(a.host, 'd')
  const second = await world.connect(b.host, 'd')
  t.equal(b.counters.staleClaims, 1)
  await until('closed', () => first.device.closed !== null)
  t.equal(first.device.closed, 'taken_over')
  t.equal(a.counters.sweepFindings.close, 1)
  await world.push('d', 2)
  await until('all', () => second.device.got.length === 2)
  t.strictSame(first.device.got, [])
  t.equal(await world.owner('d'), second.courier.claimId, 'the late release of the first ended nothing')
})

void t.test('courier host: with kicks lost, a takeover on one node closes the first at once', async (t) => {
  const world = await CourierWorld.open(t)
  world.lost.kicks = true
  const { host } = await world.host()
  const first = await world.connect(host, 'd')
  const second = await world.connect(host, 'd')
  await until('closed', () => first.device.closed === 'taken_over')
  t.equal(host.size, 1)
  await world.push('d')
  await until('it receives', () => second.device.got.length === 1)
})

void t.test('courier host: the claim of a node that is gone is taken by force', async (t) => {
  const world = await CourierWorld.open(t)
  await world.store.claim('d', { node: 'dead', claimId: 'old' }, { force: false })
  const { host, counters } = await world.host()
  const { courier } = await world.connect(host, 'd')
  t.equal(await world.owner('d'), courier.claimId)
  t.equal(counters.staleClaims, 1)
})

void t.test('courier host: a socket that has ended takes the device from nobody', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  const first = await world.connect(host, 'd')
  const gone = new TestDevice()
  gone.alive = false
  await t.rejects(world.connect(host, 'd', gone), ConnectionGone)
  t.ok(first.device.alive)
  t.equal(await world.owner('d'), first.courier.claimId)
})

void t.test('courier host: a socket that ends while it claims leaves no claim', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  const device = new TestDevice()
  world.afterClaim = () => {
    device.alive = false
  }
  await t.rejects(world.connect(host, 'd', device), ConnectionGone)
  await until('released', async () => (await world.owner('d')) === null)
  t.equal(host.size, 0)
})

void t.test('courier host: a revoked device is closed as such, and its kick is answered after the end', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  const { courier, device } = await world.connect(host, 'd')
  const { claim } = await world.store.purge('d')
  t.equal(claim?.claimId, courier.claimId)
  t.notOk(await world.bus.kick('nowhere', { device: 'd', claimId: courier.claimId, reason: 'revoked' }, 50))
  t.ok(await world.bus.kick('n1', { device: 'd', claimId: 'another', reason: 'revoked' }, 1_000))
  t.equal(device.closed, null, 'a kick of another claim is ignored')
  t.ok(await world.bus.kick('n1', { device: 'd', claimId: courier.claimId, reason: 'revoked' }, 1_000))
  t.equal(device.closed, 'revoked')
  t.equal(host.size, 0)
})

void t.test('courier host: a failed open rejects with the error of the store, and leaves nothing', async (t) => {
  const world = await CourierWorld.open(t)
  const { host } = await world.host()
  world.failing.methods.add('claim')
  await t.rejects(world.connect(host, 'd'), { code: 'store_unavailable' })
  world.failing.methods.delete('claim')
  t.equal(host.size, 0)
  await world.connect(host, 'd')
  t.equal(host.size, 1)
})

void t.test('courier host: stop closes with `draining`, stores acks, releases claims, refuses newcomers', async (t) => {
  const world = await CourierWorld.open(t)
  const { host, counters } = await world.host({ ackDelayMs: 60_000 })
  const all = await Promise.all(upTo(20).map((n) => world.connect(host, `d${n}`)))
  await Promise.all(upTo(20).map((n) => world.push(`d${n}`, 3)))
  await until('all acked', () => counters.acked === 60)
  await host.stop()
  await host.stop()
  for (const [i, { device }] of all.entries()) {
    t.equal(device.closed, 'draining')
    t.equal(await world.pending(`d${i + 1}`), 0)
    t.equal(await world.owner(`d${i + 1}`), null)
  }
  t.equal(host.size, 0)
  await t.rejects(world.connect(host, 'late'), { code: 'overloaded' })
  t.strictSame(await world.bus.nodes(), [])
})
