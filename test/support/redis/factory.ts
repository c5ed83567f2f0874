import type { Test } from 'tap'
import { createLogger } from '../../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../../core/ports/mailbox.js'
import { META_KEY } from '../../../core/stores/redis/keys.js'
import { openRedisStore, REDIS_FORMAT } from '../../../core/stores/redis/open.js'
import type { StoreFactory, StoreHandle, StoreOptions } from '../../conformance/factory.js'
import { noRedis, type RedisServer, startRedis } from './server.js'

const DATABASES = 64

/** Runs suites against one real server, which ends behind them; without one they are skipped with the reason. */
export function onRedis(t: Test, suites: (factory: StoreFactory) => void): void {
  if (noRedis !== false) {
    t.pass('needs Redis', { skip: noRedis })
    return
  }
  const running: { server: Promise<RedisServer> | null } = { server: null }
  suites(redisFactory(() => (running.server ??= startRedis(['--databases', String(DATABASES)]))))
  t.test('redis: the server is ended', async (t) => {
    await (await running.server)?.stop()
    t.pass()
  })
}

/** Stores in the databases of one server. */
function redisFactory(server: () => Promise<RedisServer>): StoreFactory {
  let opened = 0
  return {
    name: 'redis',
    supports: { clock: true, generation: true, formatVersion: true, claimsKept: true },
    async open(_t: Test, options: StoreOptions): Promise<StoreHandle> {
      const redis = await server()
      const db = opened++ % DATABASES
      await redis.admin.select(db)
      await redis.admin.flushdb()
      const openStore = () =>
        openRedisStore({
          url: `${redis.url}/${db}`,
          limits: { ...DEFAULT_MAILBOX_LIMITS, ...options.limits },
          ...(options.uplinkLimits === undefined ? {} : { uplinkLimits: options.uplinkLimits }),
          log: createLogger({ level: 'silent' }),
          ...(options.clock === undefined ? {} : { clock: options.clock }),
        })
      let store = await openStore()
      return {
        get mailbox() {
          return store.mailbox
        },
        get credentials() {
          return store.credentials
        },
        get uplink() {
          return store.uplink
        },
        get sessions() {
          return store.sessions
        },
        async reopen() {
          await store.close()
          store = await openStore()
        },
        async changeGeneration() {
          await store.close()
          // What a start and a promotion change, without the wait.
          await redis.admin.call('debug', 'change-repl-id')
          store = await openStore()
        },
        async makeNewer() {
          await store.close()
          await redis.admin.select(db)
          await redis.admin.hset(META_KEY, 'format', REDIS_FORMAT + 1)
        },
        close: () => store.close(),
      }
    },
  }
}
