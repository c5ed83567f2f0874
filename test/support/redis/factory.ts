import type { Test } from 'tap'
import { createLogger } from '../../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../../core/ports/mailbox.js'
import { NEWEST_FORMAT } from '../../../core/stores/redis/formats.js'
import { META_KEY, ORDINARY_ROOT } from '../../../core/stores/redis/keys.js'
import { openRedisStore } from '../../../core/stores/redis/open.js'
import type { EventStoreFactory, EventStoreHandle, StoreOptions } from '../../conformance/factory.js'
import { startCluster } from './cluster.js'
import { noRedis, type RedisServer, startRedis } from './server.js'

const DATABASES = 64

/** What stores are opened on. */
interface Place {
  /** The URL of an empty store. */
  fresh(): Promise<string>
  /** Other instances answer from now on, as after a start or a promotion, without the wait. */
  change(): Promise<void>
  stop(): Promise<void>
}

async function oneServer(): Promise<Place> {
  const server = await startRedis(['--databases', String(DATABASES)])
  let opened = 0
  return {
    async fresh() {
      const db = opened++ % DATABASES
      await server.admin.select(db)
      await server.admin.flushdb()
      return `${server.url}/${db}`
    },
    async change() {
      await server.admin.call('debug', 'change-repl-id')
    },
    stop: () => server.stop(),
  }
}

async function threeShards(): Promise<Place> {
  const cluster = await startCluster(3)
  const onEach = async (command: (node: RedisServer) => Promise<unknown>): Promise<void> => {
    await Promise.all(cluster.nodes.map(command))
  }
  return {
    async fresh() {
      await onEach((node) => node.admin.flushall())
      return cluster.url
    },
    change: () => onEach((node) => node.admin.call('debug', 'change-repl-id')),
    stop: () => cluster.stop(),
  }
}

type Suites = (factory: EventStoreFactory) => void

/** Runs suites against one real server, which ends behind them; without one they are skipped with the reason. */
export const onRedis = (t: Test, suites: Suites): void => runOn(t, 'redis', oneServer, suites)

/** The same against a real Redis Cluster of three shards. */
export const onRedisCluster = (t: Test, suites: Suites): void => runOn(t, 'redis cluster', threeShards, suites)

function runOn(t: Test, name: string, start: () => Promise<Place>, suites: Suites): void {
  if (noRedis !== false) {
    t.pass('needs Redis', { skip: noRedis })
    return
  }
  const running: { place: Promise<Place> | null } = { place: null }
  suites(redisFactory(name, () => (running.place ??= start())))
  t.test(`${name}: is ended`, async (t) => {
    await (await running.place)?.stop()
    t.pass()
  })
}

function redisFactory(name: string, start: () => Promise<Place>): EventStoreFactory {
  return {
    name,
    supports: {
      clock: true,
      generation: true,
      formatVersion: true,
      claimsKept: true,
      claimsEnded: true,
      looksByItself: true,
    },
    async open(_t: Test, options: StoreOptions): Promise<EventStoreHandle> {
      const place = await start()
      const url = await place.fresh()
      const openStore = () =>
        openRedisStore({
          url,
          limits: { ...DEFAULT_MAILBOX_LIMITS, ...options.limits },
          ...(options.uplinkLimits === undefined ? {} : { uplinkLimits: options.uplinkLimits }),
          ...(options.sharedLimits === undefined ? {} : { ordinaryLimits: options.sharedLimits }),
          ...(options.eventLimits === undefined ? {} : { eventLimits: options.eventLimits }),
          log: createLogger({ level: 'silent' }),
          ...(options.clock === undefined ? {} : { clock: options.clock }),
          ...(options.claimLeaseMs === undefined ? {} : { claimLeaseMs: options.claimLeaseMs }),
        })
      let store = await openStore()
      const others: Array<typeof store> = []
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
        get events() {
          return store.events
        },
        get webhooks() {
          return store.webhooks
        },
        sessions: null,
        get shared() {
          return store.sessions
        },
        async openAgain() {
          const another = await openStore()
          others.push(another)
          return another.sessions
        },
        async another() {
          const another = await openStore()
          others.push(another)
          return { mailbox: another.mailbox, kill: () => another.connections.close() }
        },
        async cutOff(sessions) {
          const cut = others.find((another) => another.sessions === sessions)
          await cut?.connections.close()
        },
        async takeForDead(node) {
          await store.connections.command('zadd', [`${ORDINARY_ROOT}:nodes`, 1, node])
        },
        async reopen() {
          await store.close()
          store = await openStore()
        },
        async changeGeneration() {
          await store.close()
          await place.change()
          store = await openStore()
        },
        async makeNewer() {
          await store.connections.command('hset', [META_KEY, 'format', NEWEST_FORMAT + 1])
          await store.close()
        },
        async close() {
          await Promise.all([store, ...others].map((open) => open.close()))
        },
      }
    },
  }
}
