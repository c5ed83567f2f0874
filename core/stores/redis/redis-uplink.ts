// The Uplink port on Redis: one stream for all devices. Calls that come while one is under way share the next, so that what one
// process sends is stored in the order of its calls.

import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import {
  type NewUplink,
  type Uplink,
  type UplinkPage,
  type UplinkQuery,
  type UplinkResult,
  uplinkSize,
  type UplinkUsage,
} from '../../ports/uplink.js'
import { CallGate } from '../call-gate.js'
import { UplinkSteps } from '../uplink-steps.js'
import type { Argument } from './connections.js'
import { ask, changeKeys, lookKeys, type StoreContext, timeArgument } from './device-scripts.js'
import { UPLINK_LOG_KEY, UPLINK_STATE_KEY, uplinkDedupKey } from './keys.js'
import { messageOf } from './redis-errors.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'
import { decodeUplink, encodeUplink, uplinkHash, uplinkIdHash } from './uplink-codec.js'

const KEYS = [UPLINK_LOG_KEY, UPLINK_STATE_KEY] as const
const TRIM_INTERVAL_MS = 500
/** Calls share a step up to about here. */
const STEP_ITEMS = 1_000
const STEP_BYTES = 1024 * 1024
const ID = /^\d{1,15}-\d{1,15}$/

export class RedisUplink implements Uplink {
  readonly #context: StoreContext
  readonly #log: Logger
  readonly #gate = new CallGate()
  readonly #timer: NodeJS.Timeout
  readonly #steps = new UplinkSteps({
    maxItems: STEP_ITEMS,
    maxBytes: STEP_BYTES,
    store: (calls) => this.#store(calls),
  })
  #trimming = false
  #usage: UplinkUsage = { count: 0, bytes: 0 }

  private constructor(context: StoreContext, log: Logger) {
    this.#context = context
    this.#log = log
    this.#timer = setInterval(() => this.#trim(), TRIM_INTERVAL_MS)
    this.#timer.unref()
  }

  static async open(context: StoreContext, log: Logger): Promise<RedisUplink> {
    const uplink = new RedisUplink(context, log)
    try {
      await uplink.#trimOnce()
    } catch (error) {
      clearInterval(uplink.#timer)
      throw error
    }
    return uplink
  }

  /** As of the last call or look of this process, which is at most about half a second ago. */
  get usage(): UplinkUsage {
    return this.#usage
  }

  append(items: readonly NewUplink[]): Promise<readonly UplinkResult[]> {
    return this.#gate.run(() => this.#steps.append(items))
  }

  async #store(calls: ReadonlyArray<readonly NewUplink[]>): Promise<ReadonlyArray<readonly UplinkResult[]>> {
    const keys: string[] = [...KEYS]
    const args: Argument[] = [timeArgument(this.#context)]
    for (const [call, items] of calls.entries()) {
      for (const item of items) {
        const key = item.dedupId === null ? null : uplinkDedupKey(uplinkIdHash(item.device, item.dedupId))
        const place = key === null ? 0 : keys.push(key)
        args.push(call, item.device, place, uplinkHash(item), uplinkSize(item), encodeUplink(item))
      }
    }
    const [count, bytes, ...fields] = listOf(await changeKeys(this.#context, 'uplink-append', keys, args))
    this.#usage = { count: numberOf(count), bytes: numberOf(bytes) }
    let at = 0
    return calls.map((items) =>
      items.map(() => {
        const result = resultOf(numberOf(fields[at]), textOf(fields[at + 1]), numberOf(fields[at + 2]))
        at += 3
        return result
      }),
    )
  }

  read({ after, limit, maxBytes }: UplinkQuery): Promise<UplinkPage | null> {
    return this.#gate.run(async () => {
      if (after !== null && !ID.test(after)) return null
      const args = [timeArgument(this.#context), after ?? '', limit, maxBytes]
      const [more, ...fields] = listOf(await lookKeys(this.#context, 'uplink-read', KEYS, args))
      const uplinks = Array.from({ length: fields.length / 2 }, (_, i) =>
        decodeUplink(textOf(fields[i * 2]), bytesOf(fields[i * 2 + 1])),
      )
      return { uplinks, more: numberOf(more) === 1 }
    })
  }

  end(): Promise<string | null> {
    return this.#gate.run(async () => {
      const last = await ask(this.#context, 'xrevrange', [UPLINK_LOG_KEY, '+', '-', 'COUNT', 1])
      const [entry] = listOf(last)
      return entry === undefined ? null : textOf(listOf(entry)[0])
    })
  }

  #trim(): void {
    if (this.#trimming) return
    this.#trimming = true
    this.#gate
      .run(() => this.#trimOnce())
      .catch((error: unknown) => {
        if (!(error instanceof StoreUnavailable)) this.#log.warn({ reason: messageOf(error) }, 'uplink_trim_failed')
      })
      .finally(() => {
        this.#trimming = false
      })
  }

  async #trimOnce(): Promise<void> {
    const reply = listOf(await lookKeys(this.#context, 'uplink-trim', KEYS, [timeArgument(this.#context)]))
    this.#usage = { count: numberOf(reply[0]), bytes: numberOf(reply[1]) }
  }

  close(): Promise<void> {
    clearInterval(this.#timer)
    return this.#gate.close()
  }
}

function resultOf(code: number, id: string, at: number): UplinkResult {
  if (code === 2) return { ok: false, code: 'full' }
  if (code === 3) return { ok: false, code: 'dedup_conflict' }
  return { ok: true, id, at, duplicate: code === 1 }
}
