// Ordered start and graceful stop: what was started last is stopped first.

import type { Clock } from './clock.js'
import type { Logger } from './log.js'

/** How a step is undone: resolves when nothing of it is left. */
export type Stop = () => Promise<void>

export interface Lifecycle {
  /**
   * Starts one named step and remembers how to stop it. When `start` rejects, or a stop was asked for meanwhile, the
   * caller sees it rejected and calls `stop`, which undoes the steps before it.
   */
  step<T>(name: string, start: () => Promise<T> | T, stop?: (started: T) => Promise<void>): Promise<T>
  /**
   * Stops every started step, in reverse order. Each may use what is left until the deadline, and at least
   * `LAST_CHANCE_MS`: a step that hangs does not keep the store from closing. Resolves false when a step failed or was
   * given up. A second call gets the first one's answer. `withinMs`: instead of the deadline, when a part of it is used up.
   */
  stop(withinMs?: number): Promise<boolean>
  /** The step that is starting; null: none is. */
  readonly starting: string | null
  /** True once `stop` was called. */
  readonly stopping: boolean
}

/** What a step gets to stop in when the deadline is over already. */
export const LAST_CHANCE_MS = 500

/** A stop was asked for before the start was complete. */
export class StoppedWhileStarting extends Error {
  constructor() {
    super('stopped before the start was complete')
    this.name = 'StoppedWhileStarting'
  }
}

async function settlesWithin(work: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

export function createLifecycle(options: {
  readonly log: Logger
  readonly clock: Clock
  /** For all steps together, from the call of `stop` on. */
  readonly stopDeadlineMs: number
}): Lifecycle {
  const { log, clock, stopDeadlineMs } = options
  const started: Array<{ readonly name: string; readonly stop: Stop }> = []
  let current: Promise<unknown> = Promise.resolve()
  let stopped: Promise<boolean> | null = null
  let underWay: string | null = null

  async function stopOne(name: string, stop: Stop, ms: number): Promise<boolean> {
    const from = clock.monotonic()
    try {
      if (!(await settlesWithin(stop(), ms))) {
        log.error({ step: name, afterMs: Math.round(ms) }, 'a step did not stop in time and was given up')
        return false
      }
      log.debug({ step: name, ms: Math.round(clock.monotonic() - from) }, 'stopped')
      return true
    } catch (err) {
      log.error({ err, step: name }, 'a step failed to stop')
      return false
    }
  }

  async function stopAll(withinMs: number): Promise<boolean> {
    const deadline = clock.monotonic() + withinMs
    const left = (): number => Math.max(LAST_CHANCE_MS, deadline - clock.monotonic())
    // A step that is starting is waited for, so that it can be undone: a half-opened store is worse than a late stop.
    let clean = await settlesWithin(current.then(noop, noop), left())
    for (let last = started.pop(); last !== undefined; last = started.pop()) {
      clean = (await stopOne(last.name, last.stop, left())) && clean
    }
    return clean
  }

  return {
    async step(name, start, stop) {
      if (stopped !== null) throw new StoppedWhileStarting()
      const from = clock.monotonic()
      underWay = name
      const starting = (async () => start())()
      current = starting
      const value = await starting
      underWay = null
      if (stop !== undefined) started.push({ name, stop: () => stop(value) })
      if (stopped !== null) throw new StoppedWhileStarting()
      log.debug({ step: name, ms: Math.round(clock.monotonic() - from) }, 'started')
      return value
    },
    stop: (withinMs = stopDeadlineMs) => (stopped ??= stopAll(withinMs)),
    get starting() {
      return underWay
    },
    get stopping() {
      return stopped !== null
    },
  }
}

function noop(): void {}
