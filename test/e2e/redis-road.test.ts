// `postrider serve --store redis://…` over a real Redis: the whole road, and what becomes of it when either of the two dies.

import t, { type Test } from 'tap'
import { runCommand } from '../support/command.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis/server.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { pause, until } from '../support/road/wait.js'
import { wholeRoad } from '../support/road/whole-road.js'
import { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

async function start(
  t: Test,
  settings: readonly string[] = [],
  flags: readonly string[] = [],
): Promise<{ readonly redis: RedisServer; readonly server: TestServer }> {
  const redis = await startRedis(settings)
  t.teardown(() => redis.stop())
  const server = await TestServer.start(t, { flags: ['--store', redis.url, ...flags], env: SECRETS })
  return { redis, server }
}

void t.test('redis road: push, receive, acknowledge, and the same after SIGKILL and restart', skip, async (t) => {
  const { server } = await start(t)
  await wholeRoad(t, server)
  t.match(await server.rest('GET', '/v1/devices?limit=10'), { body: { devices: [{ device: 'phone-1' }], next: null } })
  t.equal((await server.rest('DELETE', '/v1/devices/phone-1')).status, 204)
  t.equal((await server.rest('GET', '/v1/devices/phone-1')).status, 404)
  t.same(await server.stop(), { code: 0, signal: null })
})

void t.test('redis road: both are killed under load, and every accepted message arrives, in order', skip, async (t) => {
  const { redis, server } = await start(t, ['--appendfsync', 'always'], ['--inbox-max', '50000'])
  const ledger = new RoadLedger()
  const prompt = await Promise.all(names('prompt', 12).map((id) => roadDevice(t, server, ledger, id)))
  const slow = await Promise.all(
    names('slow', 4).map((id) => roadDevice(t, server, ledger, id, { clean: false, ackDelayMs: 100 })),
  )
  const devices = [...prompt, ...slow]
  for (const device of devices) device.start()
  const all = devices.map(({ device }) => device)
  const producer = await producerFor(t, server, ledger, { devices: all, lanes: 3, batch: 20, rate: 600 })
  const allReady = () => until('all devices to be connected', () => devices.every(({ ready }) => ready), 20_000)
  await allReady()
  producer.start()
  for (const victim of ['server', 'redis', 'server', 'redis']) {
    const before = ledger.progress.arrived
    await until('deliveries to go on', () => ledger.progress.arrived > before + 100, 20_000)
    await pause(300 + Math.random() * 300)
    ledger.cut()
    if (victim === 'server') {
      await server.kill('SIGKILL')
      await server.restart()
    } else {
      await redis.restart('SIGKILL')
    }
    await allReady()
  }
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, server, all)
  t.comment(`pushed again after: ${JSON.stringify(Object.fromEntries(producer.failures))}`)
})

const readiness = async (server: TestServer): Promise<number> => (await fetch(`${server.adminUrl}/readyz`)).status

void t.test('redis road: Redis is away: 503 within 2 s, devices stay, and it goes on by itself', skip, async (t) => {
  const { redis, server } = await start(t, ['--appendfsync', 'always'])
  const ledger = new RoadLedger()
  const device = await roadDevice(t, server, ledger, 'phone-1')
  await device.start().untilReady()
  const push = (n: number) => server.rest('POST', '/v1/devices/phone-1/messages', { payload: `${n}`, dedupId: `${n}` })
  t.equal((await push(1)).status, 202)
  for (const how of ['gone', 'silent']) {
    if (how === 'gone') await redis.kill('SIGKILL')
    else redis.signal('SIGSTOP')
    for (let n = 0; n < 5; n++) {
      const elapsed = stopwatch(t)
      const refused = await push(100 + n)
      const took = Math.round(elapsed())
      t.equal(refused.status, 503, `${how}: ${JSON.stringify(refused.body)}`)
      t.ok(refused.headers.get('retry-after') !== null, 'with Retry-After')
      t.ok(took < 2_000, `${took} ms`)
    }
    await until(`${how}: the node to say that it is not ready`, async () => (await readiness(server)) === 503)
    if (how === 'gone') await redis.start()
    else redis.signal('SIGCONT')
    await until(
      `${how}: pushes to be taken again`,
      async () => (await push(how === 'gone' ? 2 : 3)).status < 300,
      20_000,
    )
  }
  await until('all to be handled', async () => (await statusOf(server, 'phone-1'))['pending'] === 0)
  t.equal(device.connections, 1, 'the device was connected all the time')
  await until('the node to be ready again', async () => (await readiness(server)) === 200)
})

void t.test(
  'redis road: both secrets must be given, and a wrong Redis is told without its password',
  skip,
  async (t) => {
    const redis = await startRedis(['--requirepass', 'right'])
    t.teardown(() => redis.stop())
    const flags = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
    const serve = (env: Readonly<Record<string, string>>) => runCommand(t, ['serve', ...flags], { env })
    const url = `redis://:hush@127.0.0.1:${redis.port}`
    const without = await serve({ POSTRIDER_STORE: url })
    t.match(without, { code: 78, stderr: /POSTRIDER_API_KEY and POSTRIDER_TOKEN_SECRET: must be set/ })
    const { POSTRIDER_API_KEY } = SECRETS
    t.match(await serve({ POSTRIDER_STORE: url, POSTRIDER_API_KEY }), {
      stderr: /^(?!.*API_KEY).*POSTRIDER_TOKEN_SECRET: must/m,
    })
    const wrong = await serve({ POSTRIDER_STORE: url, ...SECRETS })
    t.match(wrong, { code: 78, stderr: /the user or password is wrong/ })
    t.notMatch(wrong.stderr, /hush/)
  },
)
