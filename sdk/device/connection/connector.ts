// The shell of the connection machine: opens links, keeps its timers, fetches tokens, and feeds back what happens. Decides
// nothing. What belongs to a link that was given up never reaches the machine.

import type { ByeFrame, ServerFrame, WelcomeFrame } from '../../../protocol/frames/frame-types.js'
import { FrameError } from '../../../protocol/frames/frame-error.js'
import { decodeServerFrame } from '../../../protocol/frames/server-frames.js'
import { streamTopic } from '../../../protocol/topics.js'
import { messageOf, PostriderError } from '../errors.js'
import type { Platform } from '../platform.js'
import { Link, type LinkSettings } from './link.js'
import { initialMachine, transition, VISIBLE } from './machine.js'
import type { ClientState, Effect, Machine, MachineEvent, MachineSettings } from './machine-types.js'
import type { TokenSource } from './token-source.js'

export interface ConnectorSettings {
  readonly deviceId: string
  readonly urls: readonly URL[]
  readonly machine: MachineSettings
  readonly link: LinkSettings
  readonly keepAliveSeconds: number
}

/** Frames of the inbox; the others are the connector's. */
export type InboxFrame = Exclude<ServerFrame, WelcomeFrame | ByeFrame>

export interface ConnectorEvents {
  /** The bytes of a hello. */
  hello(): Uint8Array
  welcome(frame: WelcomeFrame): void
  /** An error: the server broke the protocol. */
  frame(frame: InboxFrame): PostriderError | null
  /** The link is gone; a welcome may come later. */
  disconnected(): void
  /** Before a link is hung up: what waits to be sent. */
  flush(): void
  /** Ends everything that runs, and resolves when nothing is left to be sent. */
  stop(): Promise<void>
  state(state: ClientState, error: PostriderError | null, waitMs: number | null): void
  report(error: PostriderError): void
  workingUrl(url: URL): void
  /** The end, once. */
  ended(error: PostriderError | null): void
}

export class Connector {
  readonly #settings: ConnectorSettings
  readonly #platform: Platform
  readonly #tokens: TokenSource
  readonly #events: ConnectorEvents
  #machine: Machine
  #link: Link | null = null
  #welcomed = false
  readonly #queue: MachineEvent[] = []
  #dispatching = false
  #cancelWait: (() => void) | null = null
  #cancelDeadline: (() => void) | null = null
  #unwatchNetwork: (() => void) | null = null
  #state: ClientState = 'connecting'
  /** Of the last report, for the state that it led to. */
  #lastError: PostriderError | null = null
  #waitMs: number | null = null

  constructor(settings: ConnectorSettings, platform: Platform, tokens: TokenSource, events: ConnectorEvents) {
    this.#settings = settings
    this.#platform = platform
    this.#tokens = tokens
    this.#events = events
    this.#machine = initialMachine(settings.machine)
  }

  get state(): ClientState {
    return this.#state
  }

  /** The link, while it is welcomed. */
  get link(): Link | null {
    return this.#welcomed ? this.#link : null
  }

  /** `url`: what worked last time; null: nothing is known. */
  start(url: string | null): void {
    const known = this.#settings.urls.findIndex((each) => each.href === url)
    if (this.#machine.phase === 'idle') this.#machine = { ...this.#machine, url: Math.max(0, known) }
    this.#unwatchNetwork = this.#platform.watchNetwork((event) =>
      this.dispatch({ type: 'network', back: event !== 'offline' }),
    )
    this.dispatch({ type: 'start' })
  }

  /** Events that come while another one is worked on wait for their turn. */
  dispatch(event: MachineEvent): void {
    this.#queue.push(event)
    if (this.#dispatching) return
    this.#dispatching = true
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next)
    } finally {
      this.#dispatching = false
    }
  }

  #step(event: MachineEvent): void {
    const { clock, random } = this.#platform
    const step = transition(this.#machine, event, { now: clock.now(), random, settings: this.#settings.machine })
    this.#machine = step.machine
    this.#waitMs = null
    for (const effect of step.effects) this.#do(effect)
    const { phase } = step.machine
    // While it closes it still shows what it was.
    if (phase === 'closing' || VISIBLE[phase] === this.#state) return
    this.#state = VISIBLE[phase]
    const error = this.#state === 'waiting' || this.#state === 'closed' ? this.#lastError : null
    if (this.#state === 'live') this.#lastError = null
    this.#events.state(this.#state, error, this.#waitMs)
  }

  #do(effect: Effect): void {
    const { clock } = this.#platform
    switch (effect.do) {
      case 'fetch-token':
        this.#tokens.fetch(effect.reason).then(
          () => this.dispatch({ type: 'token-ready' }),
          (error: unknown) => this.dispatch({ type: 'token-failed', error: asTokenError(error) }),
        )
        return
      case 'open':
        this.#open(effect.url)
        return
      case 'greet':
        this.#greet()
        return
      case 'drop':
        this.#detach()?.destroy()
        return
      case 'hang-up':
        if (this.#welcomed) this.#events.flush()
        void this.#detach()?.end()
        return
      case 'close':
        void this.#close()
        return
      case 'wait':
        this.#waitMs = effect.ms
        this.#cancelWait = clock.after(effect.ms, () => this.dispatch({ type: 'wait-over' }))
        return
      case 'deadline':
        this.#cancelDeadline = clock.after(effect.ms, () => this.dispatch({ type: 'deadline' }))
        return
      case 'clear-timers':
        this.#cancelWait?.()
        this.#cancelDeadline?.()
        return
      case 'renew-in':
        this.#tokens.watchAgain(effect.ms, () => this.dispatch({ type: 'token-due' }))
        return
      case 'ping':
        this.#link?.ping()
        return
      case 'remember-url': {
        const url = this.#settings.urls[effect.url]
        if (url !== undefined) this.#events.workingUrl(url)
        return
      }
      case 'report':
        this.#lastError = effect.error
        this.#events.report(effect.error)
        return
      case 'end':
        this.#lastError = effect.error
        this.#end(effect.error)
        return
    }
  }

  #open(index: number): void {
    const url = this.#settings.urls[index]
    if (url === undefined) throw new RangeError(`no URL ${index}`)
    const { open, clock } = this.#platform
    // Handlers can be called before the constructor returns; they name the link by this.
    const current: { link: Link | null } = { link: null }
    const mine = (): boolean => current.link === null || current.link === this.#link
    let link: Link
    try {
      link = new Link(url, open, this.#settings.link, clock, {
        onOpen: () => mine() && this.dispatch({ type: 'opened' }),
        onRefused: (code) => mine() && this.dispatch({ type: 'refused', code }),
        onUnsubscribed: () =>
          mine() && this.dispatch({ type: 'fail', error: new PostriderError('unsupported_server', 'no stream mode') }),
        onFrame: (topic, payload) => mine() && this.#onFrame(topic, payload),
        onConfirmed: () => mine() && this.dispatch({ type: 'progress' }),
        onMalformed: (error) => mine() && this.dispatch({ type: 'broken', error }),
        onEnd: (error) => mine() && this.dispatch({ type: 'lost', error }),
      })
    } catch (error) {
      // A platform that throws where it should fail: an attempt like any other.
      this.dispatch({ type: 'lost', error: new PostriderError('connect_failed', messageOf(error), { cause: error }) })
      return
    }
    current.link = link
    this.#link = link
  }

  #greet(): void {
    const { deviceId, keepAliveSeconds } = this.#settings
    const topic = streamTopic(deviceId)
    this.#link?.greet(
      { clientId: deviceId, token: this.#tokens.token, keepAliveSeconds },
      topic,
      `${topic}/hello`,
      this.#events.hello(),
    )
  }

  /** The link is not ours any more; whoever asked ends it. */
  #detach(): Link | null {
    const link = this.#link
    this.#link = null
    if (this.#welcomed) {
      this.#welcomed = false
      this.#tokens.unwatch()
      this.#events.disconnected()
    }
    return link
  }

  /** Waits for what runs; then the last acks, and the end. A link that is lost meanwhile is not waited for. */
  async #close(): Promise<void> {
    await this.#events.stop()
    if (this.#welcomed) this.#events.flush()
    // A process that ends when the client is closed takes nothing with it that was on its way.
    await this.#detach()?.end()
    this.dispatch({ type: 'hung-up' })
  }

  #end(error: PostriderError | null): void {
    this.#detach()?.destroy()
    this.#unwatchNetwork?.()
    this.#tokens.close()
    this.#events.ended(error)
  }

  // ----- frames --------------------------------------------------------------------------------------------------------------------

  #onFrame(topic: string, payload: Uint8Array): void {
    if (topic !== streamTopic(this.#settings.deviceId)) {
      this.#broken(new PostriderError('malformed_frame', 'a message on a topic that was not subscribed'))
      return
    }
    let frame: ServerFrame
    try {
      frame = decodeServerFrame(payload)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#broken(new PostriderError('malformed_frame', error.message, { cause: error }))
      return
    }
    if (frame.t === 'bye') this.dispatch({ type: 'bye', ...byeOf(frame) })
    else if (frame.t === 'welcome') this.#onWelcome(frame)
    else if (!this.#welcomed) this.#broken(new PostriderError('sequence_broken', `${frame.t} before welcome`))
    else this.#onInboxFrame(frame)
  }

  #onWelcome(frame: WelcomeFrame): void {
    if (this.#welcomed) {
      this.#broken(new PostriderError('sequence_broken', 'a second welcome'))
      return
    }
    this.#welcomed = true
    this.dispatch({ type: 'welcome' })
    this.#tokens.watch(frame.time, () => this.dispatch({ type: 'token-due' }))
    this.#events.welcome(frame)
  }

  #onInboxFrame(frame: InboxFrame): void {
    const error = this.#events.frame(frame)
    if (error !== null) this.#broken(error)
    else if (frame.t === 'data' && !this.#machine.progressed) this.dispatch({ type: 'progress' })
  }

  #broken(error: PostriderError): void {
    this.dispatch({ type: 'broken', error })
  }
}

const byeOf = ({ code, reconnect, minMs, maxMs }: ByeFrame): Omit<ByeFrame, 't'> => ({ code, reconnect, minMs, maxMs })

function asTokenError(error: unknown): PostriderError {
  return error instanceof PostriderError
    ? error
    : new PostriderError('token_failed', messageOf(error), { cause: error })
}
