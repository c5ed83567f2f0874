// The connections to MongoDB. They decide what happens while it is away: a command that cannot be sent soon fails soon, what was sent
// is bounded in time, and nothing is repeated behind the callers' backs (`retryWrites` off: who asked looks what became of it).

import {
  MongoClient,
  type MongoClientOptions,
  MongoCompatibilityError,
  MongoNetworkError,
  MongoParseError,
  MongoServerError,
  MongoServerSelectionError,
  type ServerDescriptionChangedEvent,
} from 'mongodb'
import { type Clock, systemClock } from '../../clock.js'
import { StartupError, StoreUnavailable } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import type { Logger } from '../../log.js'
import { randomId } from '../../random-id.js'
import { describeMongoUrl, MONGO_URL_RULE } from '../../config/mongo-location.js'
import { type Collections, collectionsOf, makeIndexes } from './collections.js'
import { fieldsOf, numberOf, textOf } from './fields.js'
import { unfinished } from '../../migration/refusals.js'
import { FORMAT, NEWEST_FORMAT } from './formats.js'
import { generationOf, instanceOf } from './instance.js'
import { isDuplicateKey, messageOf } from './mongo-errors.js'
import { ClientWatch } from './client-watch.js'
import { type MongoClientState, MongoCounters } from '../../metrics/mongo-counters.js'
import { StoreClock } from './store-clock.js'

/** Where the store's own words stand in `meta`. */
export const META_ID = 'store'
const DEFAULT_DATABASE = 'postrider'
/** The oldest that the driver speaks to. */
export const OLDEST_SERVER = '4.2'

const TIMES = {
  selection: 2_500,
  /** For a connection of the pool: also when many are made at once on a busy machine. */
  waiting: 5_000,
  connect: 2_000,
  socket: 6_000,
  /** Within the server: less than the socket's, so that the server says it first. */
  wtimeout: 4_000,
  look: 10_000,
} as const

export const CLIENT_OPTIONS = {
  appName: 'postrider',
  retryWrites: false,
  readPreference: 'primary',
  readConcern: { level: 'majority' },
  writeConcern: { w: 'majority', journal: true, wtimeoutMS: TIMES.wtimeout },
  serverSelectionTimeoutMS: TIMES.selection,
  connectTimeoutMS: TIMES.connect,
  socketTimeoutMS: TIMES.socket,
  waitQueueTimeoutMS: TIMES.waiting,
  heartbeatFrequencyMS: 2_000,
  minHeartbeatFrequencyMS: 250,
  maxPoolSize: 64,
  maxConnecting: 8,
  promoteBuffers: true,
} as const satisfies MongoClientOptions

export interface ConnectionOptions {
  /** May hold a password: never logged. */
  readonly url: string
  readonly log: Logger
  /** Refuse a server that is alone, without a replica set. */
  readonly needsReplicaSet: boolean
  /** The store's time, for tests; default: the server's. */
  readonly clock?: Clock
  /** Default: new ones, out of sight. */
  readonly counters?: MongoCounters
  /** A migration into it may be under way. */
  readonly filling?: boolean
  /** Refuse a database that no server has used, and make nothing in it. */
  readonly mustExist?: boolean
}

export class MongoConnection {
  readonly collections: Collections
  readonly #client: MongoClient
  readonly #database: string
  readonly #log: Logger
  readonly #clock: Clock | null
  readonly #watch: ClientWatch
  readonly #storeClock = new StoreClock(systemClock)
  #timer: NodeJS.Timeout | null = null
  #mark = ''
  #instance = ''
  #generation = ''
  #closed = false

  private constructor(client: MongoClient, database: string, options: ConnectionOptions) {
    this.#client = client
    this.#database = database
    this.#log = options.log
    this.#clock = options.clock ?? null
    this.collections = collectionsOf(client.db(database))
    client.on('serverDescriptionChanged', (event) => this.#described(event))
    this.#watch = new ClientWatch(client, options.counters ?? new MongoCounters(), () => this.#revive())
  }

  /** Rejects with StartupError: what the operator can put right. */
  static async open(options: ConnectionOptions): Promise<MongoConnection> {
    const where = describeMongoUrl(options.url)
    const client = clientOf(options.url, where)
    const database = databaseOf(options.url, client)
    const connection = new MongoConnection(client, database, options)
    try {
      await client.connect().catch((error: unknown) => {
        throw explainLogin(where, error)
      })
      await connection.#check(where, options.needsReplicaSet)
      if (options.mustExist === true) await connection.#find(where)
      await connection.#prepare(where, options.filling ?? false)
    } catch (error) {
      connection.#watch.stop()
      await client.close().catch(() => undefined)
      throw explainStart(where, error)
    }
    connection.#timer = setInterval(() => connection.#lookAgain(), TIMES.look)
    connection.#timer.unref()
    return connection
  }

  get generation(): string {
    return this.#generation
  }

  /** For metrics. */
  state(): MongoClientState {
    return this.#watch.state()
  }

  /** Integer milliseconds UTC, by the server. */
  now(): number {
    return this.#clock === null ? this.#storeClock.now() : this.#clock.now()
  }

  async #check(where: string, needsReplicaSet: boolean): Promise<void> {
    const admin = this.#client.db(this.#database)
    const build = fieldsOf(await admin.command({ buildInfo: 1 }))
    const version = textOf(build, 'version')
    const [major = 0, minor = 0] = version.split('.').map(Number)
    const [oldMajor = 0, oldMinor = 0] = OLDEST_SERVER.split('.').map(Number)
    if (major < oldMajor || (major === oldMajor && minor < oldMinor)) {
      throw new StartupError(`${where}: the server is MongoDB ${version}, but ${OLDEST_SERVER} or newer is needed`)
    }
    const hello = fieldsOf(await admin.command({ hello: 1 }))
    const alone = !hello.has('setName') && hello.get('msg') !== 'isdbgrid'
    if (alone && needsReplicaSet) {
      throw new StartupError(
        `${where}: the server is in no replica set, but more nodes than one need one, so that what was accepted outlives a server; start it with --replSet (a set of one is a beginning)`,
      )
    }
    if (alone) this.#log.warn({ store: where }, 'store_without_replica_set')
  }

  async #find(where: string): Promise<void> {
    if ((await this.collections.meta.findOne({ _id: META_ID })) !== null) return
    throw new StartupError(`${where}: no Postrider has written there; is it the right server and database?`)
  }

  async #prepare(where: string, filling: boolean): Promise<void> {
    const { meta } = this.collections
    try {
      await meta.insertOne({ _id: META_ID, format: FORMAT, mark: randomId() })
    } catch (error) {
      if (!isDuplicateKey(error)) throw error
    }
    await this.#learn()
    const fields = fieldsOf(await meta.findOne({ _id: META_ID }))
    if (!filling && fields.get('migration') === 1) throw unfinished(where)
    const format = numberOf(fields, 'format')
    if (format > NEWEST_FORMAT) {
      throw new StartupError(
        `${where}: the store has format ${format}, this version reads up to format ${NEWEST_FORMAT}: use the version that wrote it, or a newer one`,
      )
    }
    await makeIndexes(this.collections)
  }

  /** The server's time, and the mark. */
  async #learn(): Promise<void> {
    const asked = systemClock.monotonic()
    const hello = fieldsOf(await this.#client.db(this.#database).command({ hello: 1 }))
    const time = hello.get('localTime')
    // A date; some servers that speak the protocol send the number.
    const milliseconds = time instanceof Date ? time.getTime() : time
    if (typeof milliseconds === 'number') this.#storeClock.learn(milliseconds, asked)
    this.#mark = textOf(fieldsOf(await this.collections.meta.findOne({ _id: META_ID })), 'mark')
    this.#newGeneration()
  }

  #lookAgain(): void {
    this.#learn().catch((error: unknown) => {
      if (!this.#closed) this.#log.debug({ reason: messageOf(error) }, 'store_not_seen')
    })
  }

  #described({ newDescription }: ServerDescriptionChangedEvent): void {
    const instance = instanceOf(newDescription)
    if (instance === null || instance === this.#instance) return
    this.#instance = instance
    if (this.#mark !== '') this.#newGeneration()
  }

  #newGeneration(): void {
    this.#generation = generationOf(this.#mark, this.#instance)
  }

  #revive(): void {
    if (this.#closed) return
    this.#log.warn({ store: this.#database }, 'store_client_renewed')
    const renew = async (): Promise<void> => {
      await this.#client.close()
      if (!this.#closed) await this.#client.connect()
    }
    // Tried again when it stays silent; whoever asks meanwhile makes it connect, too.
    renew().catch((error: unknown) => this.#log.debug({ reason: messageOf(error) }, 'store_not_seen'))
  }

  /** Rejects with StoreUnavailable when the store cannot be written now. */
  async ping(): Promise<void> {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    await this.collections.meta.updateOne({ _id: META_ID }, { $set: { pinged: new Date() } })
  }

  /** Another generation from now on: for who restored a backup, and for tests. */
  async newGeneration(): Promise<void> {
    await this.collections.meta.updateOne({ _id: META_ID }, { $set: { mark: randomId() } })
    await this.#learn()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#watch.stop()
    await this.#client.close()
  }
}

function clientOf(url: string, where: string): MongoClient {
  try {
    return new MongoClient(url, CLIENT_OPTIONS)
  } catch (cause) {
    throw new StartupError(`the URL of the MongoDB store is not of the form ${MONGO_URL_RULE}${reasonOf(cause, where)}`)
  }
}

/** The driver's parse errors name the option that is wrong, never its value. */
const reasonOf = (cause: unknown, where: string): string =>
  cause instanceof MongoParseError && /^option \S+ is not supported$/.test(cause.message)
    ? ` (${where}: ${cause.message})`
    : ''

function databaseOf(url: string, client: MongoClient): string {
  return /^mongodb(?:\+srv)?:\/\/[^/]+\/[^?]/.test(url) ? client.db().databaseName : DEFAULT_DATABASE
}

/** Whoever has a user and is turned away before the first question has the wrong one, or the wrong password. */
function explainLogin(where: string, error: unknown): unknown {
  const turnedAway = error instanceof MongoServerError && (error.code === 18 || error.code === 13)
  return turnedAway ? new StartupError(`${where}: the user or password is wrong`, { cause: error }) : error
}

function explainStart(where: string, error: unknown): StartupError {
  if (error instanceof StartupError) return error
  const message = messageOf(error)
  if (error instanceof MongoCompatibilityError || /reports maximum wire version/.test(message)) {
    return new StartupError(`${where}: the server is too old, ${OLDEST_SERVER} or newer is needed: ${message}`, {
      cause: error,
    })
  }
  if (error instanceof MongoServerError && error.code === 13) {
    return new StartupError(
      `${where}: the user may not do what the store needs, or none was given: it needs the role readWrite on the database`,
      { cause: error },
    )
  }
  if (error instanceof MongoServerSelectionError || error instanceof MongoNetworkError) {
    return new StartupError(`${where}: cannot be reached: ${message}`, {
      cause: error,
      exitCode: EXIT.unavailable.code,
    })
  }
  return new StartupError(`${where}: the store cannot be opened: ${message}`, { cause: error })
}
