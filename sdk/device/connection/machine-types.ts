import type { PostriderError } from '../errors.js'
import type { Random } from '../platform.js'
import type { BackoffSettings } from './backoff.js'

/** What the application sees. */
export const CLIENT_STATES = ['connecting', 'catching-up', 'live', 'waiting', 'closed'] as const
export type ClientState = (typeof CLIENT_STATES)[number]

export type Phase =
  /** Not started: the storage is being read. */
  | 'idle'
  /** A token is being fetched. */
  | 'authorizing'
  /** The channel is being opened. */
  | 'opening'
  /** CONNECT, SUBSCRIBE and hello are sent; the welcome has not come. */
  | 'greeting'
  /** Welcomed; what was in the inbox then is not handled yet. */
  | 'catching-up'
  | 'live'
  /** A delay before the next attempt. */
  | 'waiting'
  /** The application closed it: the last acks are on their way. */
  | 'closing'
  | 'closed'

/** The bye of the server, as far as it decides anything here. */
export interface Bye {
  readonly code: string
  readonly reconnect: 'never' | 'after'
  readonly minMs: number
  readonly maxMs: number
}

/** Each tells of the present connection, token request or timer; the shell drops what is late. */
export interface MachineEvents {
  readonly start: object
  readonly 'token-ready': object
  readonly 'token-failed': { readonly error: PostriderError }
  readonly opened: object
  /** CONNACK with another code than 0. */
  readonly refused: { readonly code: number }
  readonly welcome: object
  /** Everything that was in the inbox at the welcome is handled. */
  readonly 'caught-up': object
  /** A message came in, or an ack of ours was confirmed. */
  readonly progress: object
  /** The connection ended, or does not answer any more. */
  readonly lost: { readonly error: PostriderError }
  readonly bye: Bye
  /** The server broke the protocol on this connection. */
  readonly broken: { readonly error: PostriderError }
  /** The delay is over. */
  readonly 'wait-over': object
  /** Opening or greeting took too long; or the closing did. */
  readonly deadline: object
  /** The token will expire soon. */
  readonly 'token-due': object
  /** The network changed. `back`: it is there again, or somebody looks again. */
  readonly network: { readonly back: boolean }
  /** The application closes the client. */
  readonly close: object
  /** Everything is flushed, the connection has ended in good order. */
  readonly 'hung-up': object
  /** It cannot go on: the storage failed, a handler failed for good, the subscription was refused. */
  readonly fail: { readonly error: PostriderError }
}
export type EventType = keyof MachineEvents
export type MachineEvent<T extends EventType = EventType> = {
  readonly [K in T]: { readonly type: K } & MachineEvents[K]
}[T]

export type TokenReason = 'first' | 'expiring' | 'refused'

/** What the shell is to do, in this order. */
export type Effect =
  | { readonly do: 'fetch-token'; readonly reason: TokenReason }
  /** Opens the URL of this index. The one before was dropped or hung up. */
  | { readonly do: 'open'; readonly url: number }
  /** Sends CONNECT, SUBSCRIBE and hello. */
  | { readonly do: 'greet' }
  /** Ends the connection at once. */
  | { readonly do: 'drop' }
  /** Sends the acks that wait, and DISCONNECT; nobody waits for the end. */
  | { readonly do: 'hang-up' }
  /** Stops the handling, waits for what runs, then hangs up; answered by `hung-up`. */
  | { readonly do: 'close' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'deadline'; readonly ms: number }
  /** Of `wait` and `deadline`. */
  | { readonly do: 'clear-timers' }
  /** Asks for a new token later; the connection stands meanwhile. */
  | { readonly do: 'renew-in'; readonly ms: number }
  /** Looks whether the connection still stands. */
  | { readonly do: 'ping' }
  /** This URL works: begin with it next time. */
  | { readonly do: 'remember-url'; readonly url: number }
  /** Not terminal; for the application to know. */
  | { readonly do: 'report'; readonly error: PostriderError }
  /** The end. Null: the application wanted it. */
  | { readonly do: 'end'; readonly error: PostriderError | null }

export interface MachineSettings {
  readonly urls: number
  /** True: there is a getToken. */
  readonly renewable: boolean
  readonly backoff: BackoffSettings
  /** Milliseconds for opening and greeting together. */
  readonly connectTimeoutMs: number
  /** Milliseconds for the running handler and the last acks when the application closes. */
  readonly closeTimeoutMs: number
}

export interface Env {
  readonly now: number
  readonly random: Random
  readonly settings: MachineSettings
}

export interface Machine {
  readonly phase: Phase
  /** `missing`: fetch one before the next attempt. `held`: used or to be used. `fresh`: fetched, and not accepted yet. */
  readonly token: 'missing' | 'held' | 'fresh'
  readonly tokenReason: TokenReason
  /** A new token is being fetched while the connection stands. */
  readonly renewing: boolean
  /** Index of the URL of this or the next attempt. */
  readonly url: number
  /** How many URLs failed since the last delay. */
  readonly tried: number
  /** Failures in a row without progress; the exponent of the delay. */
  readonly failures: number
  /** `now` of the last welcome; null before the first on this connection. */
  readonly welcomedAt: number | null
  /** Progress on this connection. */
  readonly progressed: boolean
  /** Connections that were given up after CONNECT and before welcome: each may cause one `taken_over` later. */
  readonly abandoned: number
  /** The last connection that stood less than `stableMs` ended because the server broke the protocol. */
  readonly broken: boolean
  /** URLs of this turn behind which something else than a server answered. */
  readonly strangers: number
  /** The server said how long to wait. */
  readonly ordered: boolean
}

export interface Step {
  readonly machine: Machine
  readonly effects: readonly Effect[]
}
