import type { OrdinarySession } from './session.js'

/** Blocked sessions are looked at this often. */
const LOOK_MS = 1_000

interface Stall {
  /** Bytes that had not left, and since when. */
  buffered: number
  since: number
}

/** Ends the connections of sessions whose buffer is full and from which nothing leaves. Costs nothing while none is. */
export class StallWatch {
  readonly #stallMs: number
  readonly #monotonic: () => number
  readonly #blocked = new Map<OrdinarySession, Stall>()
  #timer: NodeJS.Timeout | null = null

  constructor(stallMs: number, monotonic: () => number) {
    this.#stallMs = stallMs
    this.#monotonic = monotonic
  }

  /** The session has something to send, and its buffer is full. */
  blocked(session: OrdinarySession): void {
    if (session.link === null || this.#blocked.has(session)) return
    this.#blocked.set(session, { buffered: session.link.buffered, since: this.#monotonic() })
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
  }

  #look(): void {
    const now = this.#monotonic()
    for (const [session, stall] of this.#blocked) {
      const { link } = session
      if (link === null || !session.isBlocked) this.#blocked.delete(session)
      else if (link.buffered !== stall.buffered) {
        stall.buffered = link.buffered
        stall.since = now
      } else if (now - stall.since >= this.#stallMs) {
        this.#blocked.delete(session)
        link.close('slow_consumer')
      }
    }
    if (this.#blocked.size === 0) this.stop()
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }
}
