import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { createLogger } from '../../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../../core/ports/mailbox.js'
import { META_ID } from '../../../core/stores/mongodb/connection.js'
import { NEWEST_FORMAT } from '../../../core/stores/mongodb/formats.js'
import { type MongoStore, type MongoStoreOptions, openMongoStore } from '../../../core/stores/mongodb/open.js'
import type { EventStoreFactory, EventStoreHandle, StoreOptions } from '../../conformance/factory.js'
import { Plans } from './plans.js'
import { type MongoServer, noMongo, startMongo } from './server.js'

/** Databases of one test file on the server. A store that was closed leaves its own, emptied, to the next: making one takes long. */
export class Databases {
  readonly server: MongoServer
  readonly #prefix = `postrider_test_${randomBytes(4).toString('hex')}`
  readonly #free: string[] = []
  #made = 0

  constructor(server: MongoServer) {
    this.server = server
  }

  take(): string {
    return this.#free.pop() ?? `${this.#prefix}_${++this.#made}`
  }

  async giveBack(name: string): Promise<void> {
    const db = this.server.admin.db(name)
    const collections = await db.listCollections({}, { nameOnly: true }).toArray()
    await Promise.all(collections.map(({ name: collection }) => db.collection(collection).deleteMany({})))
    this.#free.push(name)
  }

  async end(): Promise<void> {
    for (const name of this.#free) await this.server.admin.db(name).dropDatabase()
    await this.server.stop()
  }
}

/**
 * Runs suites against one real server; without one they are skipped with the reason. Whatever was asked of it meanwhile must have had
 * an index.
 */
export function onMongo(t: Test, suites: (factory: EventStoreFactory) => void): void {
  if (noMongo !== false) {
    t.pass('needs MongoDB', { skip: noMongo })
    return
  }
  const running: { databases: Promise<Databases> | null } = { databases: null }
  const plans = new Plans()
  const start = (): Promise<Databases> => (running.databases ??= startMongo().then((server) => new Databases(server)))
  suites(mongoFactory(start, {}, plans))
  t.test('mongodb: every question used an index', async (t) => plans.check(t, await start()))
  t.test('mongodb: is ended', async (t) => {
    await (await running.databases)?.end()
    t.pass()
  })
}

export function mongoFactory(
  start: () => Promise<Databases>,
  more: Partial<MongoStoreOptions> = {},
  plans: Plans | null = null,
): EventStoreFactory {
  return {
    name: 'mongodb',
    supports: {
      clock: true,
      generation: true,
      formatVersion: true,
      claimsKept: true,
      claimsEnded: true,
      looksByItself: true,
    },
    async open(_t: Test, options: StoreOptions): Promise<EventStoreHandle> {
      const databases = await start()
      const name = databases.take()
      const openStore = async (): Promise<MongoStore> => {
        const opened = await openMongoStore({
          url: databases.server.url(name),
          limits: { ...DEFAULT_MAILBOX_LIMITS, ...options.limits },
          ...(options.uplinkLimits === undefined ? {} : { uplinkLimits: options.uplinkLimits }),
          ...(options.eventLimits === undefined ? {} : { eventLimits: options.eventLimits }),
          log: createLogger({ level: 'silent' }),
          ...(options.clock === undefined ? {} : { clock: options.clock }),
          ...(options.claimLeaseMs === undefined ? {} : { claimLeaseMs: options.claimLeaseMs }),
          ...more,
        })
        plans?.watch(opened.connection.collections)
        return opened
      }
      let store = await openStore()
      const others: MongoStore[] = []
      let closed = false
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
        get sessions() {
          return store.sessions
        },
        async another() {
          const another = await openStore()
          others.push(another)
          return { mailbox: another.mailbox, kill: () => another.connection.close() }
        },
        async reopen() {
          await store.close()
          store = await openStore()
        },
        async changeGeneration() {
          await store.connection.newGeneration()
          await store.close()
          store = await openStore()
        },
        async makeNewer() {
          await store.connection.collections.meta.updateOne({ _id: META_ID }, { $set: { format: NEWEST_FORMAT + 1 } })
          await store.close()
        },
        async close() {
          await Promise.all([store, ...others].map((open) => open.close()))
          if (closed) return
          closed = true
          await databases.giveBack(name)
        },
      }
    },
  }
}
