import t, { type Test } from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openRedisStore, type RedisStore, type RedisStoreOptions } from '../../core/stores/redis/open.js'
import { accepted, ack, eventually, fill, message, own, push, range, readAll } from '../conformance/messages.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis/server.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }

async function storeOn(
  t: Test,
  settings: readonly string[] = [],
  options: Partial<RedisStoreOptions> = {},
): Promise<{ readonly redis: RedisServer; readonly store: RedisStore }> {
  const redis = await startRedis(settings)
  t.teardown(() => redis.stop())
  const store = await openRedisStore({
    url: redis.url,
    limits: DEFAULT_MAILBOX_LIMITS,
    log: createLogger({ level: 'silent' }),
    ...options,
  })
  t.teardown(() => store.close())
  return { redis, store }
}

const UNAVAILABLE = [{ ok: false, code: 'store_unavailable' }]

/** Appends until one is accepted. */
const serves = (store: RedisStore, device = 'd') =>
  eventually(
    async () => {
      const [result] = await store.mailbox.append([message(device)])
      return result?.ok === true ? result : undefined
    },
    10_000,
    'the store serves again',
  )

t.test(
  'redis outage: the server is gone: refused at once, nothing piles up, and it goes on by itself',
  skip,
  async (t) => {
    const { redis, store } = await storeOn(t, ['--appendfsync', 'always'])
    const first = await fill(store.mailbox, 'd', 3)
    const { generation } = store
    await redis.kill('SIGKILL')
    await eventually(async () => {
      const [result] = await store.mailbox.append([message('d')])
      return result?.ok === false && result.code === 'store_unavailable' ? true : undefined
    })
    let longest = 0
    for (const _ of range(1, 20)) {
      const elapsed = stopwatch(t)
      const results = await store.mailbox.append(range(1, 500).map((i) => message(`d${i}`)))
      longest = Math.max(longest, elapsed())
      t.strictSame(new Set(results.map((r) => (r.ok ? 'ok' : r.code))), new Set(['store_unavailable']))
    }
    t.ok(longest < 2_000, `each call is answered within ${Math.round(longest)} ms`)
    t.equal(store.connections.underWay, 0)
    await t.rejects(store.mailbox.info('d'), StoreUnavailable)
    await t.rejects(store.mailbox.ping(), StoreUnavailable)
    await t.rejects(store.uplink.append([]), StoreUnavailable)
    await t.rejects(store.credentials.getKey('k'), StoreUnavailable)
    await t.rejects(store.sessions.end('c'), StoreUnavailable)
    await redis.start()
    const again = await serves(store)
    t.equal(again.seq, 4, 'everything that was answered is there')
    t.not(again.epoch, first.epoch, 'another start of the server is another epoch')
    t.not(store.generation, generation)
    t.match(
      await ack(store.mailbox, 'd', first),
      { counted: true, cursor: 3 },
      'what the old epoch named is still known',
    )
  },
)

t.test(
  'redis outage: a server that says nothing: unknown within 2 s, then refused, then by itself',
  skip,
  async (t) => {
    const { redis, store } = await storeOn(t)
    await push(store.mailbox, 'd')
    redis.signal('SIGSTOP')
    const elapsed = stopwatch(t)
    const results = await Promise.all(
      range(1, 50).map((i) => store.mailbox.append([message('d', { dedupId: `${i}` })])),
    )
    const took = elapsed()
    t.ok(took < 2_000, `${Math.round(took)} ms`)
    t.strictSame(new Set(results.flat().map((r) => (r.ok ? 'ok' : r.code))), new Set(['outcome_unknown']))
    await eventually(async () => {
      const [result] = await store.mailbox.append([message('d')])
      return result?.ok === false && result.code === 'store_unavailable' ? true : undefined
    }, 5_000)
    t.equal(store.connections.underWay, 0, 'nothing piles up')
    redis.signal('SIGCONT')
    await serves(store, 'other')
    const retried = await Promise.all(range(1, 50).map((i) => push(store.mailbox, 'd', { dedupId: `${i}` })))
    t.equal(new Set(retried.map(({ seq }) => seq)).size, 50, 'the retry tells, and each is there once')
  },
)

t.test('redis outage: memory used up: appends are refused whole, acks make room', skip, async (t) => {
  const { redis, store } = await storeOn(t, ['--maxmemory', '30mb'], {
    limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMaxBytes: 1 << 30 },
  })
  const start = await own(store.mailbox, 'd')
  const large = message('d', { payload: Buffer.alloc(200_000, 7) })
  let last = accepted((await store.mailbox.append([large]))[0])
  for (;;) {
    const [result] = await store.mailbox.append([large])
    if (result?.ok === true) {
      last = result
      continue
    }
    t.strictSame([result], UNAVAILABLE)
    break
  }
  t.ok(last.seq > 20, `${last.seq} of 200 kB fit`)
  t.match(await store.mailbox.info('d'), { head: last.seq, pending: last.seq }, 'what was refused left nothing')
  // Buffers come and go; from here on there is certainly no room.
  await redis.admin.config('SET', 'maxmemory', '20mb')
  t.strictSame(await store.mailbox.append([message('new')]), UNAVAILABLE)
  t.equal(await store.mailbox.info('new'), null)
  t.equal((await readAll(store.mailbox, 'd', 'claim-1', start)).entries.length, last.seq, 'reads go on')
  t.match(await store.mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: true }), { ok: true }, 'so do claims')
  t.match(await ack(store.mailbox, 'd', last), { counted: true, pending: 0 })
  await eventually(async () => ((await store.mailbox.append([message('d')]))[0]?.ok === true ? true : undefined))
  t.equal(await redis.admin.get('pr:{d}').then((value) => value !== null), true)
})

t.test('redis outage: scripts that were flushed are known again, and nothing is lost', skip, async (t) => {
  const { redis, store } = await storeOn(t)
  const writing = Promise.all(
    range(1, 20).map(async (worker) => {
      for (const i of range(1, 30)) await push(store.mailbox, 'd', { dedupId: `${worker}-${i}` })
    }),
  )
  const state = { done: false }
  void writing.then(() => {
    state.done = true
  })
  let flushed = 0
  while (!state.done) {
    await redis.admin.script('FLUSH')
    flushed++
  }
  await writing
  t.ok(flushed > 3, `${flushed} times`)
  t.match(await store.mailbox.info('d'), { head: 600, pending: 600 })
})

t.test('redis outage: demoted and promoted again on the same connection: another epoch', skip, async (t) => {
  const { redis, store } = await storeOn(t)
  const other = await startRedis()
  t.teardown(() => other.stop())
  const first = await push(store.mailbox, 'd')
  await redis.admin.replicaof('127.0.0.1', other.port)
  t.strictSame(await store.mailbox.append([message('d')]), UNAVAILABLE, 'a replica takes nothing')
  await redis.admin.replicaof('NO', 'ONE')
  const again = await serves(store)
  t.not(again.epoch, first.epoch)
})

t.test('redis outage: fewer replicas than asked for: the outcome is unknown', skip, async (t) => {
  const { redis, store } = await storeOn(t, [], { wait: 1 })
  t.match(await store.mailbox.append([message('d', { dedupId: 'x' })]), [{ ok: false, code: 'outcome_unknown' }])
  const replica = await startRedis(['--replicaof', `127.0.0.1 ${redis.port}`])
  t.teardown(() => replica.stop())
  await eventually(
    async () => ((await replica.admin.info('replication')).includes('master_link_status:up') ? true : undefined),
    10_000,
    'the replica follows',
  )
  const again = await push(store.mailbox, 'd', { dedupId: 'x' })
  t.match(again, { duplicate: true, seq: 1 }, 'the master had it')
  t.equal((await push(store.mailbox, 'd')).seq, 2)
  t.equal(await replica.admin.llen('pr:{d}:m'), 2, 'answered, so the replica has it')
})
