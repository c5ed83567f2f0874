import type { GapReason } from '../../protocol/frames/frame-types.js'
import type { ClientState } from './connection/machine-types.js'
import type { PostriderError } from './errors.js'
import type { Message } from './message.js'

export interface StateEvent {
  readonly state: ClientState
  readonly previous: ClientState
  /** Why it waits or has closed, if there is a reason. */
  readonly error: PostriderError | null
  /** With `waiting`: milliseconds until the next attempt. */
  readonly waitMs: number | null
}

export interface GapEvent {
  readonly log: string
  readonly epoch: string
  /** First and last seq that will not come. */
  readonly from: number
  readonly to: number
  readonly reason: GapReason
}

export interface ResetEvent {
  readonly log: string
  readonly epoch: string
  readonly cursor: number
  readonly head: number
}

/** What a client tells. Listeners are called at once, in the order in which they came. */
export interface ClientEvents {
  state: StateEvent
  /** Seqs that will not come, and why. Told between the messages around it, and again if the connection ends before it counted. */
  gap: GapEvent
  /** The server lost data, or the device was deleted there: seqs may begin again. What was handled stays handled. */
  reset: ResetEvent
  /** After a reset: a message was acknowledged without the handler, because one with its dedup id was handled (`first`: its key). */
  duplicate: { readonly message: Message; readonly first: string }
  /** The poison policy applied. */
  skipped: { readonly message: Message; readonly error: unknown }
  parked: { readonly message: Message; readonly error: unknown }
  /** Something failed. Unless it is terminal, the client goes on by itself. */
  error: PostriderError
}

export type ClientEventName = keyof ClientEvents
export type Listener<N extends ClientEventName> = (event: ClientEvents[N]) => void

type Listeners = { readonly [N in ClientEventName]: Set<Listener<N>> }

/** An error that nobody is there to catch. */
function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}

export class EventHub {
  readonly #uncaught: (error: unknown) => void
  readonly #listeners: Listeners = {
    state: new Set(),
    gap: new Set(),
    reset: new Set(),
    duplicate: new Set(),
    skipped: new Set(),
    parked: new Set(),
    error: new Set(),
  }

  constructor(uncaught: (error: unknown) => void = throwUncaught) {
    this.#uncaught = uncaught
  }

  has(name: string): name is ClientEventName {
    return Object.hasOwn(this.#listeners, name)
  }

  /** Answers what takes the listener away again. */
  on<N extends ClientEventName>(name: N, listener: Listener<N>): () => void {
    const listeners: Set<Listener<N>> = this.#listeners[name]
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** A listener that throws disturbs neither the client nor other listeners: its error is the application's, uncaught. */
  emit<N extends ClientEventName>(name: N, event: ClientEvents[N]): void {
    const listeners: Set<Listener<N>> = this.#listeners[name]
    for (const listener of listeners) {
      try {
        listener(event)
      } catch (error) {
        this.#uncaught(error)
      }
    }
  }
}
