import { isDeviceId, DEVICE_ID_RULE } from '../../protocol/device-id.js'
import type { Random } from '../device/platform.js'
import { randomId } from '../device/random-id.js'
import { fieldsOf } from './decode.js'
import { httpCall, type HttpRequest } from './http-call.js'
import { CALL_RANGES, checkCall, type PushClientSettings } from './options.js'
import { badOption, PushError } from './push-error.js'
import type { PushItem, PushOptions } from './push-item.js'
import { PushQueue } from './push-queue.js'
import type { PushOutcome, PushResult } from './push-result.js'
import {
  readCancelled,
  readDevice,
  readMessageState,
  readPage,
  readPending,
  readToken,
  readUplink,
  type CancelledView,
  type DeviceView,
  type MessageStateView,
  type Page,
  type PendingView,
  type TokenView,
  type UplinkView,
} from './views.js'

export interface CallOptions {
  readonly signal?: AbortSignal
}

export interface PageOptions extends CallOptions {
  /** The `next` of the page before. */
  readonly after?: string
  /** 1 to 1,000. Default 100. */
  readonly limit?: number
}

export interface UplinkOptions extends PageOptions {
  /** Milliseconds between looks for more, when there is no more. Absent: the loop ends then. */
  readonly pollMs?: number
}

/**
 * The backend's client. Every method may be called at any time and from everywhere; pushes are put together into requests by
 * themselves. All methods reject with PushError, or with the reason of the signal.
 */
export class PushClient {
  readonly #settings: PushClientSettings
  readonly #queue: PushQueue
  readonly #random: Random

  /** @internal Use `createPushClient`. */
  constructor(settings: PushClientSettings, random: Random = Math.random) {
    this.#settings = settings
    this.#random = random
    const { clock } = settings.http
    const call = (request: HttpRequest): Promise<unknown> => httpCall(settings.http, request)
    this.#queue = new PushQueue(settings.queue, { clock, random, newId: randomId, call })
  }

  /** Messages that are not answered yet. */
  get waiting(): number {
    return this.#queue.waiting
  }

  /**
   * One message to one device. Resolves when it is stored. It has a dedup id from the start (yours or a random one), so that what
   * is tried again is never two messages; and the messages of one device are stored in the order of the calls, also then.
   */
  async push(device: string, payload: unknown, options: PushOptions = {}): Promise<PushResult> {
    checkCall(options)
    const { signal, ...rest } = options
    return this.#queue.push({ ...rest, device, payload }, signal)
  }

  /** Many messages. Resolves with what became of each, in order; one that is refused fails alone. */
  async pushMany(items: readonly PushItem[], options: CallOptions = {}): Promise<readonly PushOutcome[]> {
    checkCall(options)
    const { signal } = options
    if (!Array.isArray(items) || !items.every(isObject)) throw badOption('items: an array of messages')
    return Promise.all(
      items.map((item) =>
        this.#queue.push(item, signal).then(
          (result): PushOutcome => ({ ok: true, ...result }),
          (error: unknown): PushOutcome => {
            if (error instanceof PushError) return { ok: false, device: item.device, error }
            throw error
          },
        ),
      ),
    )
  }

  /** A device: is it connected, what waits for it. */
  async device(device: string, options: CallOptions = {}): Promise<DeviceView> {
    return readDevice(fieldsOf(await this.#call('GET', devicePath(device), options)))
  }

  /** Devices in order of id, a page of them. `online`: only those that are, or are not, connected. */
  async devices(options: PageOptions & { readonly online?: boolean } = {}): Promise<Page<DeviceView>> {
    checkCall(options, CALL_RANGES)
    return readPage(await this.#call('GET', `/v1/devices${query(options)}`, options), 'devices', readDevice)
  }

  /** What waits for a device, a page of it. Acknowledges nothing. */
  async pending(device: string, options: PageOptions = {}): Promise<Page<PendingView>> {
    checkCall(options, CALL_RANGES)
    const path = `${devicePath(device)}/messages${query(options)}`
    return readPage(await this.#call('GET', path, options), 'messages', readPending)
  }

  /** What became of a message. `place`: the answer to its push. */
  async state(
    place: Pick<PushResult, 'device' | 'seq' | 'epoch'>,
    options: CallOptions = {},
  ): Promise<MessageStateView> {
    return readMessageState(fieldsOf(await this.#call('GET', messagePath(place), options)))
  }

  /** Takes a message back that is not handled yet. Rejects with `already_handled`, `message_gone`. */
  async cancel(place: Pick<PushResult, 'device' | 'seq' | 'epoch'>, options: CallOptions = {}): Promise<CancelledView> {
    return readCancelled(fieldsOf(await this.#call('DELETE', messagePath(place), options)))
  }

  /** A token with which a device can connect. `ttl`: seconds. */
  async token(device: string, options: CallOptions & { readonly ttl?: number } = {}): Promise<TokenView> {
    checkCall(options, CALL_RANGES)
    const { ttl } = options
    const body = JSON.stringify(ttl === undefined ? {} : { ttl })
    return readToken(fieldsOf(await this.#call('POST', `${devicePath(device)}/token`, options, body)))
  }

  /** Revokes a device, disconnects it, and forgets it and its messages. */
  async removeDevice(device: string, options: CallOptions = {}): Promise<void> {
    await this.#call('DELETE', devicePath(device), options)
  }

  /**
   * What devices sent, in the order in which it was stored. With `pollMs` the loop goes on until it is left or the signal aborts.
   * Remember the `id` of the last one that was handled: as `after` it goes on behind it.
   */
  async *uplink(options: UplinkOptions = {}): AsyncGenerator<UplinkView, void, undefined> {
    checkCall(options, CALL_RANGES)
    const { pollMs, signal, limit } = options
    let { after } = options
    for (;;) {
      const path = `/v1/uplink${query({ after, limit })}`
      const page = readPage(await this.#call('GET', path, options), 'uplink', readUplink)
      for (const item of page.items) {
        yield item
        after = item.id
      }
      if (page.next !== null) continue
      if (pollMs === undefined) return
      await this.#pause(pollMs, signal)
    }
  }

  /** Takes no more pushes, and resolves when all are answered. With a signal: until it aborts; the rest is refused then. */
  async close(options: CallOptions = {}): Promise<void> {
    checkCall(options)
    const { signal } = options
    const abandon = (): void => this.#queue.abandon(new PushError('closed', 'the client was closed before it was sent'))
    if (signal?.aborted === true) abandon()
    signal?.addEventListener('abort', abandon, { once: true })
    try {
      await this.#queue.close()
    } finally {
      signal?.removeEventListener('abort', abandon)
    }
  }

  /** All of these may be repeated without harm: they are tried again like pushes. */
  async #call(method: HttpRequest['method'], path: string, options: CallOptions, body?: string): Promise<unknown> {
    checkCall(options)
    const { signal } = options
    const { http, queue } = this.#settings
    const until = http.clock.now() + queue.retryForMs
    for (let failures = 1; ; failures++) {
      try {
        return await httpCall(http, { method, path, signal, ...(body === undefined ? {} : { body }) })
      } catch (error) {
        if (!(error instanceof PushError) || !error.retryable) throw error
        const range = Math.min(queue.retryMaxMs, queue.retryMinMs * 2 ** Math.min(failures - 1, 30))
        const delay = Math.max(error.retryAfterMs ?? 0, range * (0.5 + this.#random() / 2))
        if (http.clock.now() + delay > until) throw error
        await this.#pause(delay, signal)
      }
    }
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const stop = (): void => {
        cancel()
        reject(signal?.reason instanceof Error ? signal.reason : new Error(String(signal?.reason)))
      }
      const cancel = this.#settings.http.clock.after(ms, () => {
        signal?.removeEventListener('abort', stop)
        resolve()
      })
      signal?.addEventListener('abort', stop, { once: true })
    })
  }
}

function devicePath(device: string): string {
  if (typeof device !== 'string' || !isDeviceId(device)) throw badOption(`device: ${DEVICE_ID_RULE}`)
  return `/v1/devices/${encodeURIComponent(device)}`
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

function messagePath(place: Pick<PushResult, 'device' | 'seq' | 'epoch'>): string {
  if (!isObject(place)) throw badOption('place: the answer to a push')
  const { device, seq, epoch } = place
  if (!Number.isSafeInteger(seq) || seq < 1) throw badOption('seq: an integer from 1')
  if (typeof epoch !== 'string' || epoch === '') throw badOption('epoch: a string, as the push answered it')
  return `${devicePath(device)}/messages/${seq}?epoch=${encodeURIComponent(epoch)}`
}

function query(given: {
  readonly after?: string | undefined
  readonly limit?: number | undefined
  readonly online?: boolean | undefined
}): string {
  const { after, limit, online } = given
  const search = new URLSearchParams()
  if (after !== undefined) search.set('after', after)
  if (limit !== undefined) search.set('limit', String(limit))
  if (online !== undefined) search.set('online', String(online))
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}
