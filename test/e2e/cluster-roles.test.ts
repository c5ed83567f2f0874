// One API process and two brokers on one Redis.

import t from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { runCommand } from '../support/command.js'
import { noRedis } from '../support/redis/server.js'
import { drained, kept, producerFor, roadDevice, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const skip = { skip: noRedis }

/** The keys of the ready line's ports. */
function portNames(server: TestServer): readonly string[] {
  const line: unknown = JSON.parse(server.child.stdout.split('\n', 1)[0] ?? '')
  const ports: unknown = typeof line === 'object' && line !== null && 'ports' in line ? line.ports : null
  return typeof ports === 'object' && ports !== null ? Object.keys(ports).toSorted() : []
}

const readyz = async (server: TestServer): Promise<number> => (await fetch(`${server.adminUrl}/readyz`)).status

t.test('roles: 1 api and 2 brokers carry messages; each listens for what is its own', skip, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const api = await node('--role', 'api')
  const brokers = [await node('--role', 'broker'), await node('--role', 'broker')] as const
  t.same(portNames(api), ['admin', 'http'])
  for (const broker of brokers) t.same(portNames(broker), ['admin', 'mqtt', 'ws'])
  for (const server of [api, ...brokers]) t.equal(await readyz(server), 200)

  const idle = await node('--role', 'broker')

  const ledger = new RoadLedger()
  const devices = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const server = brokers[i % 2] ?? brokers[0]
      return (await roadDevice(t, server, ledger, `phone-${i}`)).start()
    }),
  )
  for (const device of devices) await device.untilReady()
  const all = devices.map(({ device }) => device)
  const producer = await producerFor(t, api, ledger, { devices: all, batch: 20, rate: 1_000 })
  producer.start()
  await until('messages to flow', () => ledger.progress.arrived > 2_000)
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, api, all)
  for (const broker of brokers) {
    t.ok((await metric(broker, 'notices_taken_total')) > 800, 'messages came straight from the notices')
    t.equal(await metric(broker, 'bus_gaps_total'), 0)
  }
  t.equal(await metric(api, 'bus_notices_unsent_total'), 0)
  for (const name of [
    'bus_packets_received_total',
    'bus_notices_delivered_total',
    'store_reads_total',
    'ack_flushes_total',
  ])
    t.equal(await metric(idle, name), 0, `${name}: a node does no work for devices that are not its own`)
  await idle.stop()
  // A delete on the API node ends a connection of a broker.
  const [first] = devices
  const ends = first?.ends ?? 0
  t.equal((await api.rest('DELETE', '/v1/devices/phone-0')).status, 204)
  await until('the deleted device to be closed', () => (first?.ends ?? 0) > ends, 2_000)

  redis.signal('SIGSTOP')
  // The checks are made every second.
  for (const server of [api, ...brokers]) {
    await until('the node not to be ready without the store', async () => (await readyz(server)) === 503, 10_000)
  }
  redis.signal('SIGCONT')
  for (const server of [api, ...brokers]) {
    await until('the node to be ready again', async () => (await readyz(server)) === 200, 10_000)
    t.same(await server.stop(), { code: 0, signal: null })
  }
})

t.test('roles: a role that a file store cannot have is refused with the reason', async (t) => {
  for (const role of ['api', 'broker']) {
    const { code, stderr } = await runCommand(t, ['serve', '--role', role, '--store', `file:${t.testdir()}`])
    t.equal(code, 78)
    t.match(stderr, new RegExp(`--role ${role}: a file store is of one process`))
  }
})
