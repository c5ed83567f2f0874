// The EventLog port on Redis: one stream for all devices, written by the scripts of devices.

import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { EventLog, EventPage, EventQuery, EventUsage } from '../../ports/event-log.js'
import { CallGate } from '../call-gate.js'
import { lookKeys, type StoreContext, timeArgument } from './device-scripts.js'
import { decodeEvent, eventId, parseEventId } from './event-codec.js'
import { EVENTS_KEY } from './keys.js'
import { messageOf } from './redis-errors.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'

const TRIM_INTERVAL_MS = 500
/** Fields of a page's reply before its events, and for each. */
const HEAD = 6
const FIELDS = 3

export class RedisEvents implements EventLog {
  readonly #context: StoreContext
  readonly #log: Logger
  readonly #gate = new CallGate()
  readonly #timer: NodeJS.Timeout
  #trimming = false
  #count = 0
  #dropped = 0

  constructor(context: StoreContext, log: Logger) {
    this.#context = context
    this.#log = log
    this.#timer = setInterval(() => this.#trim(), TRIM_INTERVAL_MS)
    this.#timer.unref()
  }

  /** As of the last call or look of this process, which is at most about half a second ago; `dropped`: by this process. */
  get usage(): EventUsage {
    return { count: this.#count, dropped: this.#dropped }
  }

  read({ after, limit }: EventQuery): Promise<EventPage | null> {
    return this.#gate.run(async () => {
      const place = after === null ? null : parseEventId(after)
      if (after !== null && place === null) return null
      const args = [timeArgument(this.#context), place?.stream ?? '', place?.number ?? 0, limit]
      const reply = listOf(await lookKeys(this.#context, 'events-read', [EVENTS_KEY], args))
      this.#seen(reply)
      const stream = textOf(reply[4])
      const events = Array.from({ length: (reply.length - HEAD) / FIELDS }, (_, i) => {
        const at = HEAD + i * FIELDS
        return decodeEvent({ stream: textOf(reply[at]), number: numberOf(reply[at + 1]) }, bytesOf(reply[at + 2]))
      })
      return {
        events,
        next: stream === '' ? null : eventId({ stream, number: numberOf(reply[5]) }),
        missed: numberOf(reply[2]),
        behind: numberOf(reply[3]),
      }
    })
  }

  end(): Promise<string | null> {
    return this.#gate.run(async () => {
      const reply = await this.#trimOnce()
      const stream = textOf(reply[2])
      return stream === '' ? null : eventId({ stream, number: numberOf(reply[3]) })
    })
  }

  #trim(): void {
    if (this.#trimming) return
    this.#trimming = true
    this.#gate
      .run(() => this.#trimOnce())
      .catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) this.#log.warn({ reason: messageOf(error) }, 'events_trim_failed')
      })
      .finally(() => {
        this.#trimming = false
      })
  }

  async #trimOnce(): Promise<readonly unknown[]> {
    const reply = listOf(await lookKeys(this.#context, 'events-trim', [EVENTS_KEY], [timeArgument(this.#context)]))
    this.#seen(reply)
    return reply
  }

  #seen(reply: readonly unknown[]): void {
    this.#dropped += numberOf(reply[0])
    this.#count = numberOf(reply[1])
  }

  close(): Promise<void> {
    clearInterval(this.#timer)
    return this.#gate.close()
  }
}
