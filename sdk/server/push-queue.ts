// Sends messages in batches, and sends again what may not have arrived. Idempotent by construction: every message has a dedup id
// from the start, so a retry is the same message to the server, whatever became of the first request.

import type { Clock, Random } from '../device/platform.js'
import { countOf, fieldsOf, listOf, textOf, type Fields } from './decode.js'
import { DeviceQueues, type BatchLimits, type QueuedItem } from './device-queues.js'
import type { HttpRequest } from './http-call.js'
import { encodeItem, type EncodedItem, type PushItem } from './push-item.js'
import { isErrorCode, PushError } from './push-error.js'
import type { PushResult } from './push-result.js'

export interface PushQueueSettings extends BatchLimits {
  /** How long the first message of a request waits for others. */
  readonly delayMs: number
  /** Requests at once. */
  readonly concurrency: number
  /** How long a message is tried again. */
  readonly retryForMs: number
  readonly retryMinMs: number
  readonly retryMaxMs: number
  /** Try again when a device's inbox is full, too: it is empty when the device is back, which may take days. */
  readonly retryInboxFull: boolean
  readonly maxQueued: number
  readonly maxQueuedBytes: number
}

export interface PushQueueDeps {
  readonly clock: Clock
  readonly random: Random
  readonly newId: () => string
  readonly call: (request: HttpRequest) => Promise<unknown>
}

/** The answer to one message of a batch. */
type ItemAnswer = PushResult | PushError

/** To be sent again, and why. */
type Failed = readonly [QueuedItem, PushError]

const BODY_START = '{"messages":['
const BODY_END = ']}'

export class PushQueue {
  readonly #settings: PushQueueSettings
  readonly #deps: PushQueueDeps
  readonly #queues = new DeviceQueues()
  #limits: BatchLimits
  #underWay = 0
  /** Requests that failed as a whole, in a row. */
  #failures = 0
  #pausedUntil = 0
  #cancelTimer: (() => void) | null = null
  /** The first message has waited long enough. */
  #due = false
  /** Messages under way. */
  #sent = 0
  /** Devices that pause after a refusal of their own. */
  readonly #pauses = new Map<string, () => void>()
  readonly #attempts = new WeakMap<QueuedItem, number>()
  #closed = false
  #abandoned: PushError | null = null
  readonly #whenEmpty: Array<() => void> = []

  constructor(settings: PushQueueSettings, deps: PushQueueDeps) {
    this.#settings = settings
    this.#deps = deps
    this.#limits = settings
  }

  /** Messages that are not answered. */
  get waiting(): number {
    return this.#queues.count + this.#sent
  }

  /** Rejects with PushError, or with the reason of the signal. */
  push(item: PushItem, signal?: AbortSignal): Promise<PushResult> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const encoded = this.#encode(item)
      const abort = (): void => {
        queued.withdrawn = true
        reject(asError(signal?.reason))
      }
      const queued: QueuedItem = {
        ...encoded,
        deadline: this.#deps.clock.now() + this.#settings.retryForMs,
        withdrawn: false,
        accepted: (result) => {
          signal?.removeEventListener('abort', abort)
          resolve(result)
        },
        refused: (error) => {
          signal?.removeEventListener('abort', abort)
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#queues.add(queued)
      this.#pump()
    })
  }

  /** Takes nothing more; resolves when everything is answered. */
  async close(): Promise<void> {
    this.#closed = true
    this.#pump()
    if (this.waiting === 0) return
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
  }

  /** Refuses everything that waits. What is on its way may be stored all the same. */
  abandon(error: PushError): void {
    this.#closed = true
    this.#abandoned = error
    for (const cancel of this.#pauses.values()) cancel()
    this.#pauses.clear()
    for (const item of this.#queues.drain()) item.refused(error)
    this.#stopTimer()
    this.#tellIfEmpty()
  }

  #encode(item: PushItem): EncodedItem {
    const { maxQueued, maxQueuedBytes } = this.#settings
    if (this.#closed) throw new PushError('closed', 'the client is closed')
    const encoded = encodeItem(item, this.#deps.newId)
    if (this.#queues.count >= maxQueued || this.#queues.bytes + encoded.bytes > maxQueuedBytes) {
      throw new PushError('queue_full', `${this.#queues.count} messages wait, ${this.#queues.bytes} bytes`)
    }
    return encoded
  }

  // ----- when --------------------------------------------------------------------------------------------------------------------

  /** Sends what is worth a request now, and sets the timer for the rest. */
  #pump(): void {
    const { concurrency, delayMs } = this.#settings
    while (this.#underWay < concurrency && this.#queues.readyCount > 0) {
      const pause = this.#pausedUntil - this.#deps.clock.now()
      if (pause > 0) return this.#pumpIn(pause)
      const { count, bytes } = this.#limits
      const full = this.#queues.readyCount >= count || this.#queues.readyBytes >= bytes
      if (!full && !this.#closed && !this.#due) return this.#pumpIn(delayMs)
      this.#stopTimer()
      const batch = this.#queues.take(this.#limits)
      if (batch.length > 0) void this.#send(batch)
    }
    if (this.#queues.readyCount === 0) this.#stopTimer()
    this.#tellIfEmpty()
  }

  #pumpIn(ms: number): void {
    this.#cancelTimer ??= this.#deps.clock.after(ms, () => {
      this.#cancelTimer = null
      this.#due = true
      this.#pump()
    })
  }

  #stopTimer(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#due = false
  }

  #tellIfEmpty(): void {
    if (this.waiting > 0) return
    for (const tell of this.#whenEmpty.splice(0)) tell()
  }

  // ----- one request ---------------------------------------------------------------------------------------------------------------

  /** Never rejects. */
  async #send(batch: readonly QueuedItem[]): Promise<void> {
    this.#underWay++
    this.#sent += batch.length
    const body = `${BODY_START}${batch.map(({ text }) => text).join(',')}${BODY_END}`
    let answers: readonly ItemAnswer[] | PushError
    try {
      answers = readAnswers(await this.#deps.call({ method: 'POST', path: '/v1/messages', body }), batch)
      this.#failures = 0
    } catch (error) {
      answers = error instanceof PushError ? error : new PushError('network', String(error), { cause: error })
    }
    this.#underWay--
    this.#sent -= batch.length
    if (answers instanceof PushError) this.#requestFailed(batch, answers)
    else this.#answered(batch, answers)
    this.#pump()
  }

  #requestFailed(batch: readonly QueuedItem[], error: PushError): void {
    const devices = new Set(batch.map(({ device }) => device))
    if (error.status === 413 && batch.length > 1) {
      // Smaller ones from now on.
      this.#limits = {
        count: Math.max(1, Math.floor(batch.length / 2)),
        bytes: Math.max(1, Math.floor(batch.reduce((sum, { bytes }) => sum + bytes, 0) / 2)),
      }
      this.#queues.putBack(batch)
    } else if (error.retryable) {
      this.#failures++
      const delay = Math.max(error.retryAfterMs ?? 0, this.#backoff(this.#failures))
      const at = this.#deps.clock.now() + delay
      this.#pausedUntil = Math.max(this.#pausedUntil, at)
      this.#again(
        batch.map((item): Failed => [item, error]),
        at,
      )
    } else for (const item of batch) item.refused(error)
    for (const device of devices) this.#queues.settle(device)
  }

  #answered(batch: readonly QueuedItem[], answers: readonly ItemAnswer[]): void {
    /** Per device: what is to be sent again. A later one that was accepted makes that impossible. */
    const again = new Map<string, Failed[]>()
    const devices = new Set<string>()
    batch.forEach((item, i) => {
      devices.add(item.device)
      const answer = answers[i] ?? new PushError('bad_answer', 'the answer is too short')
      if (!(answer instanceof PushError)) {
        for (const [earlier, error] of again.get(item.device) ?? []) earlier.refused(error)
        again.delete(item.device)
        item.accepted(answer)
      } else if (this.#mayRetry(answer)) {
        const list = again.get(item.device)
        if (list === undefined) again.set(item.device, [[item, answer]])
        else list.push([item, answer])
      } else item.refused(answer)
    })
    for (const device of devices) this.#settleDevice(device, again.get(device))
  }

  #mayRetry({ code, retryable }: PushError): boolean {
    return code === 'inbox_full' ? this.#settings.retryInboxFull : retryable
  }

  #settleDevice(device: string, again: readonly Failed[] | undefined): void {
    const [first] = again ?? []
    if (again === undefined || first === undefined) {
      this.#queues.settle(device)
      return
    }
    const attempts = (this.#attempts.get(first[0]) ?? 0) + 1
    const delay = Math.max(first[1].retryAfterMs ?? 0, this.#backoff(attempts))
    const at = this.#deps.clock.now() + delay
    for (const [item] of again) this.#attempts.set(item, attempts)
    this.#again(again, at)
    // The others of the device wait behind them.
    this.#pauses.set(
      device,
      this.#deps.clock.after(delay, () => {
        this.#pauses.delete(device)
        this.#queues.settle(device)
        this.#due = true // they have waited
        this.#pump()
      }),
    )
  }

  /** Back to the front of their devices; but what would come too late is refused now. */
  #again(items: readonly Failed[], at: number): void {
    const rest: QueuedItem[] = []
    for (const [item, error] of items) {
      if (item.withdrawn) continue
      if (this.#abandoned !== null) item.refused(this.#abandoned)
      else if (at > item.deadline) item.refused(error)
      else rest.push(item)
    }
    this.#queues.putBack(rest)
  }

  #backoff(failures: number): number {
    const { retryMinMs, retryMaxMs } = this.#settings
    return Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(failures - 1, 30)) * (0.5 + this.#deps.random() / 2)
  }
}

/** The results of a batch, in its order. Throws PushError `bad_answer`. */
function readAnswers(body: unknown, batch: readonly QueuedItem[]): readonly ItemAnswer[] {
  const results = listOf(fieldsOf(body)['results'], 'results')
  if (results.length !== batch.length) {
    throw new PushError('bad_answer', `${results.length} results for ${batch.length} messages`)
  }
  return results.map((result) => {
    const fields = fieldsOf(result)
    return fields['error'] === undefined ? readAccepted(fields) : readRefusal(fieldsOf(fields['error']))
  })
}

function readAccepted(fields: Fields): PushResult {
  return {
    device: textOf(fields, 'device'),
    seq: countOf(fields, 'seq'),
    epoch: textOf(fields, 'epoch'),
    duplicate: fields['duplicate'] === true,
  }
}

function readRefusal(fields: Fields): PushError {
  const { code } = fields
  return new PushError(isErrorCode(code) ? code : 'bad_answer', textOf(fields, 'message'))
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
