// A node that is dead leaves its claims in the store: nobody is online by them.

import t from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { roadDevice, statusOf } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import type { TestServer } from '../support/server.js'

const skip = { skip: noRedis }
/** A node that says nothing is forgotten after 10 s. */
const PATIENCE_MS = 30_000

const DEVICES = ['phone-1', 'phone-2', 'phone-3']

async function listed(server: TestServer, online: boolean): Promise<readonly unknown[]> {
  const { body } = await server.rest('GET', `/v1/devices?limit=100&online=${online}`)
  const devices: unknown = typeof body === 'object' && body !== null && 'devices' in body ? body.devices : []
  return Array.isArray(devices) ? devices.map((each: { readonly device: unknown }) => each.device) : []
}

t.test('presence: the devices of a node that was killed, or hangs, are not online', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const api = await node('--role', 'api')
  const other = await node('--role', 'broker')
  for (const [signal, forgotten] of [
    ['SIGKILL', 'a node that was killed'],
    ['SIGSTOP', 'a node that hangs, with its connections open'],
  ] as const) {
    const victim = await node('--role', 'broker', '--connect-rate-per-device', 'off')
    const ledger = new RoadLedger()
    const there = await Promise.all(
      DEVICES.map(async (id) => {
        // A node that hangs for longer than 20 s has lost its claims: then the others come back, too.
        const returns = id !== 'phone-1' && signal === 'SIGSTOP'
        return (await roadDevice(t, victim, ledger, id, { returns })).start().untilReady()
      }),
    )
    const alive = await statusOf(api, 'phone-1')
    t.equal(alive['online'], true)
    t.type(alive['node'], 'string')
    t.same(await listed(api, true), DEVICES)
    if (signal === 'SIGKILL') await victim.kill(signal)
    else victim.child.signal(signal)
    const from = performance.now()
    await until(
      `${forgotten} to be forgotten`,
      async () => (await statusOf(api, 'phone-1'))['online'] === false,
      PATIENCE_MS,
    )
    t.comment(`${forgotten}: offline after ${Math.round(performance.now() - from)} ms`)
    t.match(await statusOf(api, 'phone-2'), { online: false, node: null })
    t.same(await listed(api, true), [])
    t.same(await listed(api, false), DEVICES)

    const before = await metric(other, 'takeovers_forced_total')
    const device = await roadDevice(t, other, ledger, 'phone-1', { returns: false })
    const came = performance.now()
    await device.start().untilReady()
    t.comment(`${forgotten}: connected elsewhere within ${Math.round(performance.now() - came)} ms`)
    t.equal(await metric(other, 'takeovers_forced_total'), before + 1)
    t.equal((await statusOf(api, 'phone-1'))['online'], true)
    if (signal === 'SIGSTOP') {
      victim.child.signal('SIGCONT')
      await until('the old connection to be closed', () => there[0]?.ends === 1)
      await until('it to be remembered', async () => (await statusOf(api, 'phone-2'))['online'] === true)
    }
    await device.stop()
    await Promise.all(there.map((each) => each.stop()))
    await until('all to be offline', async () => (await listed(api, true)).length === 0)
  }
})
