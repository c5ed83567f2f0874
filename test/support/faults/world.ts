// The world of the faults suite: API and broker processes on a Redis, devices of both kinds behind a load balancer, and a producer
// that pushes through every API until all is accepted. Whatever happens is in one history.

import type { Test } from 'tap'
import { RoadProducer } from '../road/producer.js'
import { pause, until } from '../road/wait.js'
import { TestServer, type ServerOptions } from '../server.js'
import { FaultProxy } from './fault-proxy.js'
import { Fleet } from './fleet.js'
import { History, type Fault } from './history.js'
import { judge } from './judge.js'
import { machineNow } from './machine-time.js'
import { NoticeSwitch } from './notice-filter.js'

const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const TICK_MS = 50
const LANES = 4
const BATCH = 20
/** Messages to one device, one behind the other. */
const RUN = 4

/** Where the nodes keep everything. */
export interface Ground {
  /** Port of the Redis that a proxy before each node leads to; null: nodes go there themselves. */
  readonly port: number | null
  readonly url: (port: number) => string
  /** Notices go another way than this. */
  readonly withoutNotices?: boolean
}

export interface WorldOptions {
  readonly ground: Ground
  readonly devices: number
  /** Messages a second. */
  readonly rate: number
  readonly apis?: number
  readonly brokers?: number
  readonly flags?: readonly string[]
  /** Another program than the one that is built. */
  readonly program?: string
}

export interface WorldNode {
  readonly name: string
  readonly role: 'api' | 'broker'
  readonly server: TestServer
  /** Between the node and Redis; null: there is none. */
  readonly way: FaultProxy | null
}

export class World {
  readonly history: History
  readonly balancer: FaultProxy
  readonly apis: readonly WorldNode[]
  readonly brokers: readonly WorldNode[]
  readonly notices: NoticeSwitch
  readonly #t: Test
  readonly #options: WorldOptions
  #fleet: Fleet | null = null
  #producer: RoadProducer | null = null
  #turn = 0
  #lastAcceptedAt = 0
  /** The longest time without an acceptance, since `measure`. */
  longestRefusal = 0
  latencies: number[] = []
  /** The longest time for which this process did not run, since `measure`: the machine has other things to do. */
  stallMs = 0
  /** As a scenario measured it, when recovery does not begin at its end. */
  recoveryMs: number | null = null

  private constructor(
    t: Test,
    options: WorldOptions,
    parts: Pick<World, 'history' | 'balancer' | 'apis' | 'brokers' | 'notices'>,
  ) {
    this.#t = t
    this.#options = options
    this.history = parts.history
    this.balancer = parts.balancer
    this.apis = parts.apis
    this.brokers = parts.brokers
    this.notices = parts.notices
    this.history.onLatency = (ms) => this.latencies.push(ms)
    let ticked = machineNow()
    const watch = setInterval(() => {
      const now = machineNow()
      this.stallMs = Math.max(this.stallMs, now - ticked - TICK_MS)
      ticked = now
    }, TICK_MS)
    t.teardown(() => clearInterval(watch))
  }

  /** Starts everything; resolves when all devices are connected. */
  static async start(t: Test, options: WorldOptions): Promise<World> {
    const { ground, apis = 2, brokers = 3, flags = [], program } = options
    const notices = new NoticeSwitch()
    const node = async (role: WorldNode['role'], index: number): Promise<WorldNode> => {
      const name = `${role}-${index + 1}`
      const way =
        ground.port === null
          ? null
          : await FaultProxy.start(t, {
              targets: [{ name, port: () => ground.port ?? 0 }],
              ...(role === 'api' && ground.withoutNotices !== true ? { rewriter: notices.rewriter } : {}),
            })
      const given: ServerOptions = {
        flags: ['--store', ground.url(way?.port ?? 0), '--role', role, ...COMMON, ...flags],
        env: SECRETS,
        ...(program === undefined ? {} : { program }),
      }
      return { name, role, server: await TestServer.start(t, given), way }
    }
    const nodes = await Promise.all([
      ...Array.from({ length: apis }, (_, i) => node('api', i)),
      ...Array.from({ length: brokers }, (_, i) => node('broker', i)),
    ])
    const ofRole = (role: WorldNode['role']): readonly WorldNode[] => nodes.filter((each) => each.role === role)
    const balancer = await FaultProxy.start(t, {
      targets: ofRole('broker').map(({ name, server }) => ({ name, port: () => server.ports.mqtt })),
    })
    const history = new History((port) => balancer.targetOf(port))
    const world = new World(t, options, { history, balancer, apis: ofRole('api'), brokers: ofRole('broker'), notices })
    await world.#populate()
    return world
  }

  async #populate(): Promise<void> {
    const { devices, rate } = this.#options
    const half = Math.floor(devices / 2)
    const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)
    const plain = names('plain', devices - half)
    const sdk = names('sdk', half)
    const { history, balancer } = this
    const tokenSecret = SECRETS.POSTRIDER_TOKEN_SECRET
    this.#fleet = await Fleet.start(this.#t, { port: balancer.port, plain, sdk, processes: 2, tokenSecret, history })
    await this.allReady(240_000)
    this.#producer = new RoadProducer({
      url: () => this.#api(),
      apiKey: SECRETS.POSTRIDER_API_KEY,
      ledger: {
        accepted: (device, number, { seq, epoch }) => {
          const at = machineNow()
          if (this.#lastAcceptedAt > 0) this.longestRefusal = Math.max(this.longestRefusal, at - this.#lastAcceptedAt)
          this.#lastAcceptedAt = at
          history.accepted(device, number, { seq, epoch, at })
        },
      },
      devices: mixed(plain, sdk),
      lanes: LANES,
      batch: BATCH,
      run: RUN,
      rate,
      payloadBytes: 64,
      now: machineNow,
    })
    const producer = this.#producer
    this.#t.teardown(() => producer.abandon())
  }

  get fleet(): Fleet {
    if (this.#fleet === null) throw new Error('there are no devices yet')
    return this.#fleet
  }

  get producer(): RoadProducer {
    if (this.#producer === null) throw new Error('there is no producer yet')
    return this.#producer
  }

  node(name: string): WorldNode {
    const found = [...this.apis, ...this.brokers].find((each) => each.name === name)
    if (found === undefined) throw new Error(`no node ${name}`)
    return found
  }

  get nodes(): readonly WorldNode[] {
    return [...this.apis, ...this.brokers]
  }

  /** The producer's next API; it goes to all of them in turn, as it does not know which live. */
  #api(): string {
    const { server } = this.apis[this.#turn++ % this.apis.length] ?? {}
    return server?.url ?? ''
  }

  /** From here on everything that is measured counts anew. */
  measure(): void {
    this.#lastAcceptedAt = 0
    this.longestRefusal = 0
    this.stallMs = 0
    if (this.#producer !== null) this.#producer.slowestRefusal = 0
    this.latencies = []
    this.recoveryMs = null
  }

  /** What is done meanwhile breaks something: of one node, or of all. */
  async breaking(node: string | null, work: () => Promise<void>, more: Partial<Fault> = {}): Promise<void> {
    const from = machineNow()
    await work()
    this.history.fault({ from, to: machineNow(), node, ...more })
  }

  async allReady(ms = 180_000): Promise<void> {
    const { fleet } = this
    const asked = machineNow() + 200 // what is told later was seen later
    await until(
      'all devices to be connected',
      () => fleet.newsAt > asked && fleet.ready === fleet.size,
      ms,
      () => `${fleet.ready} of ${fleet.size} are: ${fleet.describe()}`,
    )
  }

  /** Resolves when all devices are connected, and have what was accepted until then, with the milliseconds since then. */
  async recovered(since: number): Promise<number> {
    await this.allReady()
    await until(
      'everything accepted before to arrive',
      () => this.history.missing(since).length === 0 || this.#onlyTailIsMissing(),
      180_000,
      () => this.history.missing(since).slice(0, 5).join(),
    )
    return machineNow() - since
  }

  /** Pushes nothing more, and waits until all that was accepted has arrived, or nothing more comes. */
  async quiet(): Promise<void> {
    await this.producer.stop()
    let delivered = -1
    let since = machineNow()
    await until(
      'arrivals to end',
      () => {
        const { progress } = this.history
        if (progress.delivered !== delivered) since = machineNow()
        delivered = progress.delivered
        return progress.delivered === progress.accepted || this.#onlyTailIsMissing() || machineNow() - since > 20_000
      },
      120_000,
    )
    await pause(1_500) // what comes again comes now
  }

  #onlyTailIsMissing(): boolean {
    return this.history.faults.some(({ losesTail }) => losesTail === true) && judge(this.history).lost.length === 0
  }
}

const COMMON = ['--inbox-max', '50000', '--connect-rate-per-device', 'off', '--log-level', 'warn']

/** One of these, one of those. */
const mixed = (these: readonly string[], those: readonly string[]): string[] =>
  Array.from({ length: Math.max(these.length, those.length) }, (_, i) => [these[i], those[i]])
    .flat()
    .filter((id) => id !== undefined)
