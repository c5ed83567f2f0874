// Other setups than one plain Redis, each with real servers: TLS, memory used up, a bus on a Redis of its own.

import t, { type Test } from 'tap'
import { Authority } from '../support/certificates.js'
import { startClusterOn } from '../support/cluster.js'
import { runCommand } from '../support/command.js'
import { startSentinelGroup } from '../support/redis/sentinel.js'
import { freePort, noRedis, type RedisServer, startRedis } from '../support/redis/server.js'
import { kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { TlsFolder } from '../support/tls.js'

const skip = { skip: noRedis }
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']

/** Messages to one device of the broker, a hundred a second, until the test stops them. */
async function traffic(t: Test, api: TestServer, broker: TestServer) {
  const ledger = new RoadLedger()
  const device = await roadDevice(t, broker, ledger, 'phone-1')
  await device.start().untilReady()
  const producer = await producerFor(t, api, ledger, { devices: ['phone-1'], batch: 1, rate: 100 })
  producer.start()
  return {
    /** Some more messages arrive. */
    async flows(): Promise<void> {
      const before = ledger.progress.arrived
      await until('messages to arrive', () => ledger.progress.arrived > before + 20, 60_000)
    },
    /** Some more come by notices. */
    async notices(): Promise<void> {
      const before = await metric(broker, 'notices_taken_total')
      await until('notices to be taken', async () => (await metric(broker, 'notices_taken_total')) > before + 5, 60_000)
    },
    async stop(): Promise<void> {
      await producer.stop()
      kept(t, await untilArrived(ledger))
    },
  }
}

t.test('redis setups: over TLS, with an authority of its own', skip, async (t) => {
  const authority = new Authority()
  const { cert, key } = authority.server()
  const folder = await TlsFolder.make(t, { 'ca.pem': authority.cert, 'cert.pem': cert, 'key.pem': key })
  const tlsPort = await freePort()
  const settings = {
    '--tls-port': String(tlsPort),
    '--tls-auth-clients': 'no',
    '--tls-cert-file': folder.file('cert.pem'),
    '--tls-key-file': folder.file('key.pem'),
    '--tls-ca-cert-file': folder.file('ca.pem'),
  }
  const redis = await startRedis(Object.entries(settings).flat())
  t.teardown(() => redis.stop())
  const url = `rediss://localhost:${tlsPort}`
  const strange = await runCommand(t, ['serve', ...PORTS, '--store', url], { env: SECRETS })
  t.match(strange, { code: 69, stderr: /rediss:\/\/localhost:\d+: cannot be reached: .*certificate/ })

  const env = { ...SECRETS, NODE_EXTRA_CA_CERTS: folder.file('ca.pem') }
  const start = (role: string) => TestServer.start(t, { flags: ['--store', url, '--role', role], env })
  const api = await start('api')
  const broker = await start('broker')
  const messages = await traffic(t, api, broker)
  await messages.notices() // the subscriber has TLS too
  await messages.stop()
  const clients = String(await redis.admin.client('LIST')).split('\n')
  const plain = clients.filter(
    (line) => line.includes('name=postrider') && !line.includes(`laddr=127.0.0.1:${tlsPort}`),
  )
  t.strictSame(plain, [], 'no connection is without')
  for (const node of [api, broker]) t.same(await node.stop(), { code: 0, signal: null })
})

t.test('redis setups: memory used up: 503, nothing accepted, and it goes on when there is room', skip, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const server = await node()
  const push = (path: string, body: unknown) => server.rest('POST', path, body)
  t.match(await push('/v1/devices/phone-1/messages', { payload: 'x' }), { status: 202 })
  await redis.admin.config('SET', 'maxmemory', '1')
  const batch = { messages: ['phone-1', 'phone-2'].map((device) => ({ device, payload: 'x' })) }
  for (const refused of [
    await push('/v1/devices/phone-1/messages', { payload: 'x' }),
    await push('/v1/messages', batch),
  ]) {
    t.match(refused, { status: 503, body: { code: 'store_unavailable' } })
    t.ok(Number(refused.headers.get('retry-after')) >= 1)
  }
  t.match(await statusOf(server, 'phone-1'), { head: 1, pending: 1 })
  t.equal((await server.rest('GET', '/v1/devices/phone-2')).status, 404)
  await redis.admin.config('SET', 'maxmemory', '0')
  t.match(await push('/v1/messages', batch), { status: 200, body: { results: [{ seq: 2 }, { seq: 1 }] } })
})

/** One API process and one broker, whose notices go over `url`. */
async function withBus(t: Test, url: string) {
  const { redis, node } = await startClusterOn(t)
  const flags = ['--bus', url, '--sweep-interval', '1s']
  const api = await node('--role', 'api', ...flags)
  const broker = await node('--role', 'broker', ...flags)
  return { store: redis, messages: await traffic(t, api, broker) }
}

async function channels({ admin }: RedisServer): Promise<number> {
  const names: unknown = await admin.call('pubsub', 'shardchannels')
  return Array.isArray(names) ? names.length : -1
}

t.test('redis setups: a bus on a Redis of its own, which may be away', skip, async (t) => {
  const other = await startRedis()
  t.teardown(() => other.stop())
  const { store, messages } = await withBus(t, other.url)
  await messages.notices()
  t.equal(await channels(store), 0, 'nobody listens on the Redis of the store')
  t.equal(await channels(other), 1)
  t.strictSame(await other.admin.keys('pr:*'), [], 'no message is kept on the one of the bus')
  await other.kill('SIGKILL')
  await messages.flows() // without the bus they come with the sweep
  await other.start()
  await messages.notices()
  await messages.stop()
})

t.test('redis setups: a bus whose master dies is found at its replica', skip, async (t) => {
  const bus = await startSentinelGroup(t, { replicas: 1, sentinels: 1 })
  const { messages } = await withBus(t, bus.url)
  await messages.notices()
  const master = await bus.master()
  await master.kill('SIGKILL')
  const promoted = await bus.promoted(master)
  await messages.flows()
  await messages.notices()
  t.equal(await channels(promoted), 1, 'the broker listens on the promoted one')
  await messages.stop()
})
