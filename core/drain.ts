// How a node leaves while others go on: it says so, serves on until that was noticed, takes nothing new, lets go of what it has
// at a pace, and is stopped then. All of it has one deadline; what is left near it is let go of at once.
//
//   serving ──▶ announced ──delay──▶ leaving ──nothing left, or the time for it is over──▶ stopping
//                   └──────────────────┴── hurry: a second signal

import type { Clock } from './clock.js'
import type { Logger } from './log.js'

export const DRAIN_PHASES = ['serving', 'announced', 'leaving', 'stopping'] as const
export type DrainPhase = (typeof DRAIN_PHASES)[number]

/** A part of the node that others depend on from outside. None of these throws. */
export interface Drainable {
  /** The node will leave, and still serves: whoever can go elsewhere is told. */
  announce?(): void
  /** From now on nothing new is taken. */
  refuse(): void
  /** Lets go of everything, and resolves when it has. When `hurry` is aborted: of all that is left, at once. */
  letGo(hurry: AbortSignal): Promise<void>
}

export interface DrainOptions {
  readonly clock: Clock
  readonly log: Logger
  /** How long the node serves on after it has said that it will leave. */
  readonly delayMs: number
  /** From the call of `run` to the end of everything, the stop that follows included. */
  readonly deadlineMs: number
}

export interface Drain {
  add(part: Drainable): void
  /** Goes through all phases up to `stopping`. Resolves to the milliseconds that are left of the deadline. Never rejects. */
  run(): Promise<number>
  /** Waits for nothing any more. False: there is nothing left to shorten. */
  hurry(): boolean
  readonly phase: DrainPhase
}

/** What is kept of the deadline for the stop: acknowledgements are stored, claims released, the store is closed. */
export function stopReserveMs(deadlineMs: number): number {
  return Math.min(6_000, deadlineMs / 2)
}

export function createDrain({ clock, log, delayMs, deadlineMs }: DrainOptions): Drain {
  const parts: Drainable[] = []
  const hurrying = new AbortController()
  let phase: DrainPhase = 'serving'

  /** Resolves after `ms`, or at once when there is no more time. */
  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        hurrying.signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      hurrying.signal.addEventListener('abort', done)
      if (hurrying.signal.aborted) done()
    })
  }

  async function run(): Promise<number> {
    const end = clock.monotonic() + deadlineMs
    const leaveBy = end - stopReserveMs(deadlineMs)
    phase = 'announced'
    for (const part of parts) part.announce?.()
    if (delayMs > 0) await pause(delayMs)
    phase = 'leaving'
    for (const part of parts) part.refuse()
    const late = setTimeout(
      () => {
        if (hurrying.signal.aborted) return
        log.warn({ deadlineMs }, 'the time to let go of connections is over: those that are left are closed at once')
        hurrying.abort()
      },
      Math.max(0, leaveBy - clock.monotonic()),
    )
    const gone = Promise.all(parts.map((part) => part.letGo(hurrying.signal)))
    // Whoever does not come to an end in a hurry is ended by the stop.
    await Promise.race([gone, afterAbort(hurrying.signal, stopReserveMs(deadlineMs) / 3)])
    clearTimeout(late)
    phase = 'stopping'
    return Math.max(0, end - clock.monotonic())
  }

  return {
    add: (part) => void parts.push(part),
    run,
    hurry() {
      if (phase === 'stopping' || hurrying.signal.aborted) return false
      hurrying.abort()
      return true
    },
    get phase() {
      return phase
    },
  }
}

/** Resolves `ms` after the signal. */
function afterAbort(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const start = (): void => void setTimeout(resolve, ms)
    if (signal.aborted) start()
    else signal.addEventListener('abort', start, { once: true })
  })
}
