// Spans on their way to the receiver of traces. Whoever adds one never waits: what does not fit is dropped and counted. One
// request at a time; a receiver that is away or slow costs spans, and nothing else.

import type { Clock } from '../clock.js'
import type { Logger } from '../log.js'
import { encodeSpans, rejectedSpans } from './otlp-json.js'
import type { Post, PostResult } from './otlp-http.js'
import type { Span, SpanAttributes } from './span.js'
import type { TraceCounters } from './trace-counters.js'

export interface SpanQueueLimits {
  /** Spans that wait, at most; about 1 KB each. */
  readonly max: number
  /** Spans of one request. They are encoded in one piece of work, which devices wait for. */
  readonly batch: number
  /** Milliseconds that a span waits for others. */
  readonly delayMs: number
  /** Milliseconds for which a batch is tried again. */
  readonly patienceMs: number
  /** The first pause after a failure, doubled up to `pauseMaxMs`. */
  readonly pauseMs: number
  readonly pauseMaxMs: number
  /** Milliseconds between two lines of the log while the receiver is away. */
  readonly logEveryMs: number
  /** Milliseconds that a stop waits for what is left: below what each step of a stop has in any case. */
  readonly stopMs: number
}

export const SPAN_QUEUE_LIMITS: SpanQueueLimits = {
  max: 4_096,
  batch: 256,
  delayMs: 1_000,
  patienceMs: 60_000,
  pauseMs: 1_000,
  pauseMaxMs: 30_000,
  logEveryMs: 300_000,
  stopMs: 400,
}

export interface SpanQueueOptions {
  readonly post: Post
  readonly resource: SpanAttributes
  readonly version: string
  readonly counters: TraceCounters
  readonly clock: Clock
  readonly log: Logger
  readonly limits?: Partial<SpanQueueLimits>
}

export class SpanQueue {
  readonly #options: SpanQueueOptions
  readonly #limits: SpanQueueLimits
  readonly #stopping = new AbortController()
  #waiting: Span[] = []
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #stopped = false
  #away = false
  #toldAt = -Infinity

  constructor(options: SpanQueueOptions) {
    this.#options = options
    this.#limits = { ...SPAN_QUEUE_LIMITS, ...options.limits }
  }

  /** Spans that wait, without those on their way. */
  get size(): number {
    return this.#waiting.length
  }

  add(span: Span): void {
    if (this.#stopped) return this.#drop(1, 'stopped')
    if (this.#waiting.length >= this.#limits.max) return this.#drop(1, 'queue_full')
    this.#waiting.push(span)
    if (this.#running === null) this.#wake(this.#waiting.length >= this.#limits.batch ? 0 : this.#limits.delayMs)
  }

  /** Sends what is left, for a short time; drops the rest. Resolves always. */
  async stop(): Promise<void> {
    this.#stopped = true
    const end = setTimeout(() => this.#stopping.abort(), this.#limits.stopMs)
    if (this.#timer !== null) clearTimeout(this.#timer)
    await (this.#running ?? this.#run())
    clearTimeout(end)
    this.#drop(this.#waiting.length, 'stopped')
    this.#waiting = []
  }

  #wake(delayMs: number): void {
    if (this.#timer !== null) {
      if (delayMs > 0) return
      clearTimeout(this.#timer)
    }
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#running = this.#run().finally(() => {
        this.#running = null
        if (this.#waiting.length > 0 && !this.#stopped) this.#wake(this.#limits.delayMs)
      })
    }, delayMs).unref()
  }

  /** Batch after batch, as long as they are full; all that waits, when it is the last time. */
  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#stopping.signal.aborted) {
      await this.#send(this.#waiting.splice(0, this.#limits.batch))
      if (!this.#stopped && this.#waiting.length < this.#limits.batch) return
    }
  }

  async #send(batch: readonly Span[]): Promise<void> {
    const { post, resource, version, counters, clock } = this.#options
    const { pauseMs, pauseMaxMs, patienceMs } = this.#limits
    const body = encodeSpans(batch, resource, version)
    const { signal } = this.#stopping
    const giveUpAt = clock.monotonic() + patienceMs
    for (let pause = pauseMs; ; pause = Math.min(pause * 2, pauseMaxMs)) {
      const result = await post(body, signal)
      if (result.kind === 'taken') return this.#taken(batch.length, result)
      counters.failures++
      this.#tell(result.reason)
      if (result.kind === 'refused') return this.#drop(batch.length, 'refused')
      const wait = Math.max(pause, result.retryAfterMs)
      if (signal.aborted || this.#stopped) return this.#drop(batch.length, 'stopped')
      if (clock.monotonic() + wait > giveUpAt) return this.#drop(batch.length, 'unreachable')
      await pauseFor(wait, signal)
    }
  }

  #taken(count: number, { answer }: PostResult): void {
    const rejected = answer === '' ? 0 : Math.min(rejectedSpans(answer), count)
    this.#options.counters.exported += count - rejected
    this.#drop(rejected, 'refused')
    if (!this.#away) return
    this.#away = false
    this.#options.log.info({ dropped: this.#options.counters.dropped }, 'traces are exported again')
  }

  #drop(count: number, why: keyof TraceCounters['dropped']): void {
    this.#options.counters.dropped[why] += count
  }

  /** At most one line in `logEveryMs`, also when the receiver comes and goes. */
  #tell(reason: string): void {
    const now = this.#options.clock.monotonic()
    if (now - this.#toldAt < this.#limits.logEveryMs) return
    this.#toldAt = now
    this.#away = true
    this.#options.log.warn({ reason, dropped: this.#options.counters.dropped }, 'traces cannot be exported')
  }
}

/** Ends early, and does not hold the process. */
function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms).unref()
    signal.addEventListener('abort', done)
  })
}
