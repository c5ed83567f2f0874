import type { Clock } from '../clock.js'

/** Something that must work for this node to be sent work. */
export interface ReadyCheck {
  readonly name: string
  /** Rejects when it does not. */
  check(): Promise<void>
}

export interface Readiness {
  /** The node is not ready while anything holds it: `starting`, `draining`. */
  hold(reason: string): void
  release(reason: string): void
  addCheck(check: ReadyCheck): void
  report(): Promise<ReadyReport>
}

export interface ReadyReport {
  readonly ready: boolean
  readonly holds: readonly string[]
  readonly checks: ReadonlyArray<{
    readonly name: string
    readonly ok: boolean
    readonly ms: number
    /** What is wrong, for the operator. */
    readonly error?: string
  }>
}

/** A check that has not answered by then has failed: a probe must not hang. */
export const CHECK_TIMEOUT_MS = 2_000

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

/** Whether this node should be sent work: a set of reasons why not, and checks that are made anew for every question. */
export function createReadiness(clock: Clock, timeoutMs: number = CHECK_TIMEOUT_MS): Readiness {
  const holds = new Set<string>()
  const checks: ReadyCheck[] = []

  async function run(each: ReadyCheck): Promise<ReadyReport['checks'][number]> {
    const { name } = each
    const start = clock.monotonic()
    try {
      await withTimeout(each.check(), timeoutMs)
      return { name, ok: true, ms: Math.round(clock.monotonic() - start) }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      return { name, ok: false, ms: Math.round(clock.monotonic() - start), error: message }
    }
  }

  return {
    hold: (reason) => void holds.add(reason),
    release: (reason) => void holds.delete(reason),
    addCheck: (check) => void checks.push(check),
    async report() {
      const results = await Promise.all(checks.map((each) => run(each)))
      return { ready: holds.size === 0 && results.every((result) => result.ok), holds: [...holds], checks: results }
    },
  }
}
