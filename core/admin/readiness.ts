// Whether this node should be sent work: a set of reasons why not, and checks that are made every second, so that a probe costs
// nothing and gets its answer at once, and so that the answer is a metric as well.

import type { Clock } from '../clock.js'
import type { Logger } from '../log.js'

/** Something that must work for this node to be sent work. */
export interface ReadyCheck {
  readonly name: string
  /** Rejects when it does not. Not called again before it has settled. */
  check(): Promise<void>
}

export interface Readiness {
  /** The node is not ready while anything holds it: `starting`, `draining`. */
  hold(reason: string): void
  release(reason: string): void
  addCheck(check: ReadyCheck): void
  /** As of the last checks; waits for those that were not made lately. */
  report(): Promise<ReadyReport>
  /** The same without waiting: for metrics. A check that was never made is not ok. */
  readonly last: ReadyReport
  /** Makes no more checks: what they look at is about to stop. Idempotent. */
  stop(): void
}

export interface CheckResult {
  readonly name: string
  readonly ok: boolean
  readonly ms: number
  /** What is wrong, for the operator. */
  readonly error?: string
}

export interface ReadyReport {
  readonly ready: boolean
  readonly holds: readonly string[]
  readonly checks: readonly CheckResult[]
}

export interface ReadinessTimes {
  /** Milliseconds between two checks. */
  readonly everyMs: number
  /** A check that has not answered by then has failed. */
  readonly timeoutMs: number
}

/** What breaks is seen after at most `everyMs` + `timeoutMs`: 3 s. */
export const READINESS_TIMES: ReadinessTimes = { everyMs: 1_000, timeoutMs: 2_000 }

async function withTimeout(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  try {
    await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
      }),
    ])
  } finally {
    clearTimeout(timer)
  }
}

class WatchedCheck {
  readonly #check: ReadyCheck
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #timeoutMs: number
  readonly #changed: (result: CheckResult) => void
  /** Null: never made. */
  #result: CheckResult | null = null
  #madeAt = -Infinity
  #hangs = false
  #making: Promise<void> | null = null

  constructor(
    check: ReadyCheck,
    clock: Pick<Clock, 'monotonic'>,
    timeoutMs: number,
    changed: (result: CheckResult) => void,
  ) {
    this.#check = check
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#changed = changed
  }

  get last(): CheckResult {
    return this.#result ?? { name: this.#check.name, ok: false, ms: 0, error: 'not looked at yet' }
  }

  /** Never rejects. */
  async notOlderThan(ms: number): Promise<CheckResult> {
    if (this.#clock.monotonic() - this.#madeAt > ms) await this.make()
    return this.last
  }

  /** Never rejects. */
  make(): Promise<void> {
    this.#making ??= this.#make().finally(() => {
      this.#making = null
    })
    return this.#making
  }

  async #make(): Promise<void> {
    const { name } = this.#check
    const start = this.#clock.monotonic()
    const took = (): number => Math.round(this.#clock.monotonic() - start)
    try {
      if (this.#hangs) throw new Error('the one before has not answered yet')
      this.#hangs = true
      const work = this.#check.check().finally(() => {
        this.#hangs = false
      })
      await withTimeout(work, this.#timeoutMs)
      this.#settle({ name, ok: true, ms: took() })
    } catch (error) {
      this.#settle({ name, ok: false, ms: took(), error: error instanceof Error ? error.message : String(error) })
    }
  }

  #settle(result: CheckResult): void {
    const before = this.#result?.ok
    this.#result = result
    this.#madeAt = this.#clock.monotonic()
    if (before !== undefined && before !== result.ok) this.#changed(result)
  }
}

export function createReadiness(options: {
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: Logger
  readonly times?: ReadinessTimes
}): Readiness {
  const { clock, log, times = READINESS_TIMES } = options
  const { everyMs, timeoutMs } = times
  const holds = new Set<string>()
  const checks: WatchedCheck[] = []

  let stopped = false

  const changed = ({ name, ok, error }: CheckResult): void => {
    if (stopped) return
    if (ok) log.info({ check: name }, 'a check of readiness is good again')
    else log.warn({ check: name, error }, 'a check of readiness failed: the node is not ready')
  }
  const timer = setInterval(() => {
    for (const check of checks) void check.make()
  }, everyMs)
  timer.unref()

  const reportOf = (results: readonly CheckResult[]): ReadyReport => ({
    ready: holds.size === 0 && results.every((result) => result.ok),
    holds: [...holds],
    checks: results,
  })

  return {
    hold: (reason) => void holds.add(reason),
    release: (reason) => void holds.delete(reason),
    addCheck(check) {
      const watched = new WatchedCheck(check, clock, timeoutMs, changed)
      checks.push(watched)
      void watched.make()
    },
    async report() {
      // A process that was frozen must not answer with what was true before.
      if (stopped) return this.last
      return reportOf(await Promise.all(checks.map((check) => check.notOlderThan(everyMs + timeoutMs))))
    },
    get last() {
      return reportOf(checks.map((check) => check.last))
    },
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
