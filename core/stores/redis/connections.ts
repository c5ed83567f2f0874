// The connections to Redis that the store, and later the bus, share. They decide what happens while Redis is away:
// - nothing is queued: a command that cannot be sent now fails at once, and what is under way is bounded by count and bytes;
// - nothing is sent twice: what a lost connection left unanswered fails, and who asked is told that the outcome is unknown;
// - a command without an answer fails after 1.5 s, and a connection without one is closed and made anew.

import { Cluster, Command, Redis } from 'ioredis'
import { OutcomeUnknown, StartupError, StoreUnavailable } from '../../errors.js'
import { EXIT } from '../../exit-codes.js'
import type { Logger } from '../../log.js'
import type { OutcomeCounters } from '../../model/outcome-counters.js'
import { commonOptions, createClient, SILENCE_MS } from './create-client.js'
import {
  checkServer,
  type Demands,
  type Instance,
  instanceOf,
  parseInfo,
  type ServerInfo,
  shortHash,
} from './instance.js'
import { readMark } from './generation-mark.js'
import { codeOf, failureOf, messageOf } from './redis-errors.js'
import { describeLocation, type RedisLocation } from '../../config/redis-location.js'
import { textOf } from './reply.js'
import { RedisCounters, type RedisClientState } from '../../metrics/redis-counters.js'
import { answerOf } from './reply-outcomes.js'
import type { Script } from './script-loader.js'
import { slotOf } from './slot.js'

/** WAIT holds up what is sent behind it. */
const WAIT_MS = 700
const MOST_UNDER_WAY = 50_000
const MOST_BYTES_UNDER_WAY = 128 * 1024 * 1024

/** What an answer to the first command means. */
const REFUSED: Readonly<Partial<Record<string, string>>> = {
  WRONGPASS: 'the user or password is wrong',
  NOAUTH: 'the server asks for a password',
  NOPERM: 'the user may not do what the store needs: all commands but the dangerous ones, INFO too, on keys pr:*, pr-*',
}

export interface ConnectionOptions {
  readonly location: RedisLocation
  readonly log: Logger
  /** A change is answered when so many replicas have it. */
  readonly wait: number
  readonly allowNoAof: boolean
  /** Default: new ones, out of sight. */
  readonly counters?: RedisCounters
  /** False: nothing that was accepted is kept there (a bus of its own), so what would lose it is taken. Default true. */
  readonly keepsMessages?: boolean
}

export type Argument = string | Buffer | number

/** `key`: any key of the slot that is asked; the rest are the arguments as Redis takes them. */
export interface Call {
  readonly script: Script
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  /** The answer waits for `--redis-wait` replicas. */
  readonly durable: boolean
}

export class RedisConnections {
  readonly #client: Redis | Cluster
  readonly #location: RedisLocation
  readonly #log: Logger
  readonly #wait: number
  readonly #demands: Demands
  /** By node; a node without an entry is not connected, or has not said yet who it is. */
  readonly #instances = new Map<Redis, Instance>()
  readonly #corked = new Set<Redis['stream']>()
  readonly #waits = new Map<Redis, Promise<unknown>>()
  readonly #counters: RedisCounters
  #generation = ''
  /** Of the store; it changes only while nobody serves it. */
  #mark = ''
  #underWay = 0
  #bytesUnderWay = 0
  #closed = false

  private constructor(client: Redis | Cluster, options: ConnectionOptions) {
    this.#client = client
    this.#location = options.location
    this.#log = options.log
    this.#wait = options.wait
    this.#counters = options.counters ?? new RedisCounters()
    this.#demands = {
      allowNoAof: options.allowNoAof,
      cluster: options.location.kind === 'cluster',
      keepsMessages: options.keepsMessages ?? true,
    }
  }

  /** Rejects with StartupError: it cannot be reached, the password is wrong, or it would lose accepted messages. */
  static async open(options: ConnectionOptions): Promise<RedisConnections> {
    const { location } = options
    const opening = { done: false }
    const client = createClient(location, opening)
    const connections = new RedisConnections(client, options)
    const where = describeLocation(location)
    const failure: { last: unknown } = { last: null }
    client.on('error', (error: unknown) => {
      failure.last = error
    })
    if (client instanceof Cluster) client.on('node error', (error: unknown) => (failure.last = error))
    try {
      await client.connect()
      await connections.#learnAll()
    } catch (error) {
      client.disconnect()
      if (error instanceof StartupError) throw error
      const cause = failure.last ?? error
      const known = REFUSED[codeOf(cause)]
      if (known !== undefined) throw new StartupError(`${where}: ${known}`, { cause })
      throw new StartupError(`${where}: cannot be reached: ${messageOf(cause)}`, {
        cause,
        exitCode: EXIT.unavailable.code,
      })
    }
    opening.done = true
    connections.#watch()
    return connections
  }

  /** Of all masters together: changes when one of them starts anew or is replaced. */
  get generation(): string {
    return this.#generation
  }

  /** How messages leave their inboxes, as the answers say. */
  get outcomes(): OutcomeCounters {
    return this.#counters.outcomes
  }

  /** The connections now: for metrics. */
  state(): RedisClientState {
    const masters = this.#masters()
    return {
      masters: masters.length,
      mastersReady: masters.filter(({ status }) => status === 'ready').length,
      underWay: this.#underWay,
      bytesUnderWay: this.#bytesUnderWay,
    }
  }

  /** INFO of every master; null: it does not answer. Never rejects. */
  askMasters(): Promise<ReadonlyArray<{ readonly server: string; readonly info: string | null }>> {
    return Promise.all(
      this.#masters().map(async (node) => {
        const server = `${node.options.host ?? ''}:${node.options.port ?? ''}`
        if (node.status !== 'ready') return { server, info: null }
        const info = await node.callBuffer('info').then(textOf, () => null)
        return { server, info }
      }),
    )
  }

  /** True: all keys are together, and one script may touch those of many devices. */
  get oneSlot(): boolean {
    return this.#location.kind !== 'cluster'
  }

  /** How many commands wait for their answers. */
  get underWay(): number {
    return this.#underWay
  }

  /** The server that has the slot of `key`, or StoreUnavailable. */
  async instance(key: string): Promise<Instance> {
    const node = this.#nodeOf(key)
    const known = node === null ? undefined : this.#instances.get(node)
    if (known !== undefined) return known
    // A node that was a replica, or came later, is connected when it is first needed.
    if (node?.status === 'wait') await node.connect().catch(() => undefined)
    if (node === null || node.status !== 'ready') throw new StoreUnavailable('Redis cannot be reached')
    return this.#learn(node)
  }

  /** The same when it is known, without waiting. */
  knownInstance(key: string): Instance | null {
    const node = this.#nodeOf(key)
    return node === null ? null : (this.#instances.get(node) ?? null)
  }

  /** False: a command on the slot of `key` would fail without being sent. */
  canSend(key: string): boolean {
    const node = this.#nodeOf(key)
    if (this.#closed || node === null) return false
    return node.status === 'wait' || (node.status === 'ready' && node.stream.writable)
  }

  /** An append was told STALE: another instance answers than was known. Learns which. */
  async learnAgain(key: string): Promise<void> {
    const node = this.#nodeOf(key)
    if (node !== null) await this.#learn(node)
  }

  /** Runs a script. Rejects with what ioredis says; redis-errors.ts knows what that means. */
  async run({ script, keys, args, durable }: Call): Promise<unknown> {
    const count = String(keys.length)
    try {
      const reply = await this.#send('evalsha', [script.sha, count, ...keys, ...args], keys[0] ?? '', durable)
      return answerOf(reply, this.#counters.outcomes)
    } catch (error) {
      if (codeOf(error) !== 'NOSCRIPT') throw error
      // A new server, or SCRIPT FLUSH. EVAL makes it known again.
      const reply = await this.#send('eval', [script.text, count, ...keys, ...args], keys[0] ?? '', durable)
      return answerOf(reply, this.#counters.outcomes)
    }
  }

  /** A command on the slot of `key`, which must be its first argument. */
  async command(name: string, args: readonly [string, ...Argument[]], durable = false): Promise<unknown> {
    return this.#send(name, args, args[0], durable)
  }

  /**
   * Another connection, not opened yet, to the master that has the slot of `key`: for whoever needs one of its own
   * (subscriptions). It ends instead of connecting again, and is the caller's to close. Null: nobody has the slot now.
   */
  subscriber(key: string): Redis | null {
    if (this.#client instanceof Redis) {
      const client = createClient(this.#location, { done: false })
      return client instanceof Redis ? client : null
    }
    const node = this.#nodeOf(key)
    if (node === null) return null
    const { host, port } = node.options
    if (host === undefined || port === undefined) return null
    return new Redis({ ...commonOptions(this.#location, () => null), host, port })
  }

  /** The slots of a Cluster by the master that has them, as far as is known; a server by itself has none. */
  slotsByMaster(): ReadonlyArray<readonly number[]> {
    if (this.#client instanceof Redis) return []
    const byMaster = new Map<string, number[]>()
    for (const [slot, [address] = []] of this.#client.slots.entries()) {
      if (address === undefined) continue
      const known = byMaster.get(address)
      if (known === undefined) byMaster.set(address, [slot])
      else known.push(slot)
    }
    return [...byMaster.values()]
  }

  /** The keys of a pattern, of every server; some perhaps twice. */
  async *scan(pattern: string): AsyncGenerator<string> {
    for (const node of this.#client instanceof Redis ? [this.#client] : this.#client.nodes('master')) {
      for (let from = '0', ended = false; !ended; ended = from === '0') {
        const [next, keys] = await node.scan(from, 'MATCH', pattern, 'COUNT', 1000)
        yield* keys
        from = next
      }
    }
  }

  /** Of the URL; a cluster has one. */
  get database(): number {
    return this.#location.kind === 'cluster' ? 0 : this.#location.db
  }

  /** Waits for what is under way, then ends the connections. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    const until = performance.now() + SILENCE_MS
    while (this.#underWay > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5))
    this.#client.disconnect()
  }

  async #send(name: string, args: readonly Argument[], key: string, durable: boolean): Promise<unknown> {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    this.#counters.commands++
    let bytes = 0
    for (const arg of args) if (typeof arg !== 'number') bytes += arg.length
    if (this.#underWay >= MOST_UNDER_WAY || this.#bytesUnderWay + bytes > MOST_BYTES_UNDER_WAY) {
      this.#counters.failures.not_sent++
      throw new StoreUnavailable('too much waits for Redis')
    }
    this.#underWay++
    this.#bytesUnderWay += bytes
    try {
      const node = this.#nodeOf(key)
      if (node !== null) this.#cork(node)
      const answer = this.#client.sendCommand(new Command(name, [...args], { replyEncoding: null }))
      if (!durable || this.#wait === 0 || node === null) return await answer
      const [value] = await Promise.all([answer, this.#replicated(node)])
      return value
    } catch (error) {
      const failure = failureOf(error)
      if (failure !== null) this.#counters.failures[failure]++
      throw error
    } finally {
      this.#underWay--
      this.#bytesUnderWay -= bytes
    }
  }

  /** What is sent in one turn goes out in one write. */
  #cork(node: Redis): void {
    const { stream } = node
    if (stream === undefined || stream === null || this.#corked.has(stream)) return
    stream.cork()
    this.#corked.add(stream)
    if (this.#corked.size === 1) {
      process.nextTick(() => {
        for (const open of this.#corked) open.uncork()
        this.#corked.clear()
      })
    }
  }

  /** One WAIT behind all changes of this turn: it covers everything that was sent before it on the connection. */
  #replicated(node: Redis): Promise<unknown> {
    const under = this.#waits.get(node)
    if (under !== undefined) return under
    const waiting = new Promise<void>((resolve, reject) => {
      queueMicrotask(() => {
        this.#waits.delete(node)
        node.wait(this.#wait, WAIT_MS).then((replicas) => {
          if (replicas >= this.#wait) resolve()
          else reject(new OutcomeUnknown(`only ${replicas} of ${this.#wait} replicas have it`))
        }, reject)
      })
    })
    this.#waits.set(node, waiting)
    return waiting
  }

  #nodeOf(key: string): Redis | null {
    if (this.#client instanceof Redis) return this.#client
    const [address] = this.#client.slots[slotOf(key)] ?? []
    if (address === undefined) return null
    return this.#client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address) ?? null
  }

  #masters(): readonly Redis[] {
    return this.#client instanceof Redis ? [this.#client] : this.#client.nodes('master')
  }

  /** Checks and learns every master. */
  async #learnAll(): Promise<void> {
    const masters = this.#masters()
    if (masters.length === 0) throw new StartupError(`${describeLocation(this.#location)}: the cluster has no master`)
    const found: Array<readonly [Redis, ServerInfo]> = []
    for (const node of masters) {
      if (node.status === 'wait') await node.connect()
      const info = parseInfo(textOf(await node.callBuffer('info')))
      checkServer(info, describeLocation(this.#location), this.#demands)
      found.push([node, info])
    }
    if (this.#demands.keepsMessages) this.#mark = await readMark(this)
    for (const [node, info] of found) this.#know(node, instanceOf(info, this.#mark))
  }

  async #learn(node: Redis): Promise<Instance> {
    const instance = instanceOf(parseInfo(textOf(await node.callBuffer('info'))), this.#mark)
    this.#know(node, instance)
    return instance
  }

  #know(node: Redis, instance: Instance): void {
    if (!this.#instances.has(node)) {
      // What is known ends with the connection: behind the next one may be another instance.
      node.once('close', () => {
        this.#instances.delete(node)
      })
    }
    this.#instances.set(node, instance)
    const all = this.#masters().flatMap((master) => this.#instances.get(master)?.generation ?? [])
    this.#generation = all.length === 1 ? instance.generation : shortHash(all.toSorted().join(' '))
  }

  #watch(): void {
    const client = this.#client
    const where = describeLocation(this.#location)
    client.on('error', (error: unknown) => {
      this.#counters.connectionErrors++
      this.#log.warn({ where, reason: messageOf(error) }, 'redis_connection_failed')
    })
    const relearn = (node: Redis): void => {
      node.on('ready', () => {
        this.#learn(node).catch((error: unknown) => {
          this.#log.warn({ where, reason: messageOf(error) }, 'redis_instance_unknown')
        })
      })
    }
    if (client instanceof Redis) relearn(client)
    else {
      for (const node of client.nodes('all')) relearn(node)
      client.on('+node', relearn)
      client.on('node error', (error: unknown) => {
        this.#counters.connectionErrors++
        this.#log.warn({ where, reason: messageOf(error) }, 'redis_node_failed')
      })
    }
  }
}
