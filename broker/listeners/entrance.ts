// What a connection must be through with before its first byte of MQTT: the header of a proxy, the TLS handshake, the
// WebSocket upgrade. Whoever is there has shown nothing yet, so there are few of them and none stays long.
//
//              ┌────────── header, request: read as they come ──────────┐
//   accept ──▶ waiting: a stranger, as any other ◀──TLS is done── shaking hands: work is done for it ──▶ (pass) MQTT
//                        └──the first byte of TLS──▶────┘

import type { Socket } from 'node:net'
import type { RoomMaker } from '../../core/limits/socket-budget.js'
import type { Doorway, Guest } from '../doorway.js'

/** Why a connection ended before its first byte of MQTT. */
export type EntranceFailure =
  /** No PROXY header, or not one that can be. */
  | 'proxy_header_malformed'
  /** A PROXY header from an address that is not trusted. */
  | 'proxy_untrusted'
  /** Not TLS, or none that both sides speak. */
  | 'tls_failed'
  /** A client certificate that does not verify. */
  | 'certificate_refused'
  /** No WebSocket upgrade, or not to MQTT. */
  | 'upgrade_refused'
  /** From a web page of an origin that is not allowed. */
  | 'origin_refused'
  | 'timeout'
  /** It had to make room for another one, or found none. */
  | 'crowded_out'
  /** The other side ended it, or the server stops. */
  | 'gone'

export class EntranceCounters {
  /** In the entrance now. */
  waiting = 0
  /** Came through. */
  passed = 0
  readonly failures: Record<EntranceFailure, number> = {
    proxy_header_malformed: 0,
    proxy_untrusted: 0,
    tls_failed: 0,
    certificate_refused: 0,
    upgrade_refused: 0,
    origin_refused: 0,
    timeout: 0,
    crowded_out: 0,
    gone: 0,
  }
}

/** A connection's stay in the entrance. */
export interface Visit {
  /** Its TLS handshake begins, which costs work. False: there is no room, the visit is over. */
  begin(): boolean
  /** The handshake is done, and it waits again as any stranger. */
  rest(): void
  /** The entrance lies behind it. False: the visit was over before. */
  pass(): boolean
  /** Ends the connection. Counted once, whoever calls first. */
  fail(reason: EntranceFailure): void
  /** It will end by itself, for this reason: an answer is on its way. The deadline still holds. */
  failing(reason: EntranceFailure): void
}

/** For a connection that has no entrance to go through. */
export const NO_ENTRANCE: Visit = {
  begin: () => true,
  rest: () => {},
  pass: () => true,
  fail: () => {},
  failing: () => {},
}

export interface EntranceOptions {
  /** Those who only wait are its strangers: of too many the oldest goes. */
  readonly door: Pick<Doorway, 'comes' | 'isGone'>
  /**
   * TLS handshakes at a time. For one more the oldest is ended if it had `patienceMs`; else the new one, because work was
   * done for the others: when all devices come back at once, some shall get through.
   */
  readonly maxHandshakes: number
  readonly patienceMs: number
  /** From accepting the socket to the beginning of its protocol. */
  readonly timeoutMs: number
  readonly counters: EntranceCounters
  /** Monotonic, milliseconds. */
  now(): number
}

export class Entrance implements RoomMaker {
  readonly #options: EntranceOptions
  readonly #visitors = new Set<Visitor>()
  /** Those who shake hands, in the order in which they began. */
  readonly #shaking = new Set<Visitor>()

  constructor(options: EntranceOptions) {
    this.#options = options
  }

  /** TLS handshakes now. */
  get size(): number {
    return this.#shaking.size
  }

  enter(socket: Socket): Visit {
    const visitor = new Visitor(socket, this.#options, {
      begins: () => this.#begins(visitor),
      rests: () => void this.#shaking.delete(visitor),
      leaves: () => {
        this.#visitors.delete(visitor)
        this.#shaking.delete(visitor)
      },
    })
    this.#visitors.add(visitor)
    this.#options.door.comes(visitor)
    return visitor
  }

  putOutOldest(): boolean {
    const [oldest] = this.#shaking
    oldest?.evict()
    return oldest !== undefined
  }

  /** Ends everybody who is there. */
  clear(): void {
    for (const visitor of this.#visitors) visitor.fail('gone')
  }

  #begins(visitor: Visitor): void {
    const { maxHandshakes, patienceMs } = this.#options
    const [oldest] = this.#shaking
    visitor.begunAt = this.#options.now()
    this.#shaking.add(visitor)
    if (oldest === undefined || this.#shaking.size <= maxHandshakes) return
    if (visitor.begunAt - oldest.begunAt >= patienceMs) oldest.evict()
    else visitor.evict()
  }
}

interface Host {
  begins(): void
  rests(): void
  leaves(): void
}

class Visitor implements Visit, Guest {
  /** Monotonic: when its handshake began. */
  begunAt = 0
  readonly #socket: Socket
  readonly #options: EntranceOptions
  readonly #host: Host
  readonly #timer: NodeJS.Timeout
  #state: 'waiting' | 'shaking' | 'over' = 'waiting'
  #outcome: EntranceFailure = 'gone'

  constructor(socket: Socket, options: EntranceOptions, host: Host) {
    this.#socket = socket
    this.#options = options
    this.#host = host
    this.#timer = setTimeout(() => this.fail('timeout'), options.timeoutMs)
    // What is wrong with it is told by its close.
    socket.on('error', ignore)
    socket.once('close', this.#closed)
    options.counters.waiting++
  }

  begin(): boolean {
    if (this.#state === 'waiting') {
      this.#state = 'shaking'
      this.#options.door.isGone(this)
      this.#host.begins()
    }
    return this.#isShaking()
  }

  rest(): void {
    if (this.#state !== 'shaking') return
    this.#state = 'waiting'
    this.#host.rests()
    this.#options.door.comes(this)
  }

  pass(): boolean {
    if (!this.#leave()) return false
    this.#socket.removeListener('error', ignore)
    this.#options.counters.passed++
    return true
  }

  fail(reason: EntranceFailure): void {
    if (!this.#leave()) return
    this.#options.counters.failures[this.#outcome === 'gone' ? reason : this.#outcome]++
    this.#socket.destroy()
  }

  failing(reason: EntranceFailure): void {
    this.#outcome = reason
  }

  evict(): void {
    this.fail('crowded_out')
  }

  /** Its host may have ended it meanwhile. */
  #isShaking(): boolean {
    return this.#state === 'shaking'
  }

  #leave(): boolean {
    if (this.#state === 'over') return false
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#socket.removeListener('close', this.#closed)
    this.#options.door.isGone(this)
    this.#options.counters.waiting--
    this.#host.leaves()
    return true
  }

  readonly #closed = (): void => this.fail('gone')
}

const ignore = (): void => {}
