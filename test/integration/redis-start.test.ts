import { once } from 'node:events'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { StartupError } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openRedisStore, type RedisStoreOptions } from '../../core/stores/redis/open.js'
import { ack, push } from '../conformance/messages.js'
import { freePort, noRedis, startRedis } from '../support/redis/server.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }

async function refusal(url: string, options: Partial<RedisStoreOptions> = {}): Promise<string> {
  try {
    const store = await openRedisStore({
      url,
      limits: DEFAULT_MAILBOX_LIMITS,
      log: createLogger({ level: 'silent' }),
      ...options,
    })
    await store.close()
    return 'opened'
  } catch (error) {
    if (!(error instanceof StartupError)) throw error
    return error.message
  }
}

async function redis(t: Test, ...settings: string[]) {
  const server = await startRedis(settings)
  t.teardown(() => server.stop())
  return server
}

t.test('redis start: nobody listens, or the name is none', async (t) => {
  const port = await freePort()
  const elapsed = stopwatch(t)
  t.match(
    await refusal(`redis://:hush@127.0.0.1:${port}`),
    new RegExp(`^redis://127.0.0.1:${port}: cannot be reached: `),
  )
  t.ok(elapsed() < 3_000, 'soon')
  t.match(await refusal('redis://no-such-host.invalid'), /cannot be reached: .*no-such-host/)
  t.match(await refusal(`redis+cluster://127.0.0.1:${port}`), /^redis\+cluster:.*cannot be reached: /)
  t.match(await refusal(`redis+sentinel://127.0.0.1:${port}/m`), /^redis\+sentinel:.*cannot be reached: /)
})

t.test('redis start: a URL of another form is refused without being told', async (t) => {
  const message = await refusal('redis://u:hush@h:1/db/3')
  t.match(message, /form redis:\/\/host:port/)
  t.notMatch(message, /hush/)
})

t.test('redis start: a wrong password, or none', skip, async (t) => {
  const server = await redis(t, '--requirepass', 'right')
  const { port } = server
  const wrong = await refusal(`redis://:hush@127.0.0.1:${port}`)
  t.match(wrong, /the user or password is wrong$/)
  t.notMatch(wrong, /hush/)
  t.match(await refusal(`redis://127.0.0.1:${port}`), /the server asks for a password$/)
  t.equal(await refusal(`redis://:right@127.0.0.1:${port}`), 'opened')
})

t.test('redis start: a user of its own, with what docs/redis.md says and no more', skip, async (t) => {
  const server = await redis(t)
  const rules = ['on', '>pw', '~pr:*', '~pr-*', '+@all', '-@dangerous', '+info']
  await server.admin.acl('SETUSER', 'postrider', ...rules)
  const store = await openRedisStore({
    url: `redis://postrider:pw@127.0.0.1:${server.port}`,
    limits: DEFAULT_MAILBOX_LIMITS,
    log: createLogger({ level: 'silent' }),
  })
  t.teardown(() => store.close())
  const { epoch } = await push(store.mailbox, 'd', { dedupId: 'x', ttl: 60 })
  t.match(await ack(store.mailbox, 'd', { epoch, seq: 1 }), { counted: true })
  t.equal((await store.mailbox.list({ after: null, limit: 9 })).devices.length, 1)
  await store.sessions.end('c')
  t.match(await store.uplink.append([]), [])
  await store.credentials.revoke('d', 1, Date.now() + 60_000)
  await server.admin.acl('SETUSER', 'postrider', '-info')
  t.match(await refusal(`redis://postrider:pw@127.0.0.1:${server.port}`), /the user may not do what the store needs/)
})

t.test('redis start: a server before 7', async (t) => {
  const info =
    '# Server\r\nredis_version:6.2.14\r\nrun_id:x\r\nrole:master\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n'
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      for (const _ of data.toString().matchAll(/\binfo\b/gi)) socket.write(`$${info.length}\r\n${info}\r\n`)
      for (const _ of data.toString().matchAll(/\bclient\b/gi)) socket.write('+OK\r\n')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  t.match(await refusal(`redis://127.0.0.1:${port}`), /the server is Redis 6\.2\.14, but 7 or newer is needed$/)
})

t.test('redis start: a replica', skip, async (t) => {
  const master = await redis(t)
  const replica = await redis(t, '--replicaof', `127.0.0.1 ${master.port}`)
  t.match(await refusal(replica.url), /is a replica, which takes no writes/)
})

t.test('redis start: no append-only file, unless allowed', skip, async (t) => {
  const server = await redis(t, '--appendonly', 'no')
  t.match(await refusal(server.url), /no append-only file/)
  t.equal(await refusal(server.url, { allowNoAof: true }), 'opened')
})

t.test('redis start: a policy that evicts', skip, async (t) => {
  const server = await redis(t, '--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru')
  t.match(await refusal(server.url), /maxmemory-policy is allkeys-lru.*noeviction/)
  await server.admin.config('SET', 'maxmemory-policy', 'noeviction')
  t.equal(await refusal(server.url), 'opened')
})

t.test('redis start: one server where a cluster is meant, and the other way round', skip, async (t) => {
  const single = await redis(t)
  t.match(await refusal(`redis+cluster://127.0.0.1:${single.port}`), /no node of a Redis Cluster|cannot be reached/)
  const node = await redis(t, '--cluster-enabled', 'yes')
  t.match(await refusal(node.url), /node of a Redis Cluster; give it as redis\+cluster/)
})
