// What the device sends to the backend. It is kept in the storage until the server has confirmed that it stored it, and sent
// again under the same id, by which the server knows it, on the next connection and after a restart. In order.

import { encodeUplink } from '../../../protocol/frames/uplink.js'
import { isUplinkChannel } from '../../../protocol/topics.js'
import { FRAME_LIMITS } from '../../../protocol/frames/frame-limits.js'
import { utf8Length } from '../../../protocol/utf8-length.js'
import { messageOf, PostriderError } from '../errors.js'
import type { Clock } from '../platform.js'
import type { StateStore } from '../storage/state-store.js'
import { uplinkKey, writeUplink, type StoredUplink } from '../storage/stored-values.js'
import { encodePayload } from './payload.js'

export const UPLINK_OVERFLOW = ['reject', 'drop-oldest'] as const

export interface UplinkSettings {
  /** Uplinks that wait. */
  readonly max: number
  /** Bytes of their payloads together. */
  readonly maxBytes: number
  /** Bytes of one payload; what the server takes (`--payload-max`). */
  readonly maxPayloadBytes: number
  /** What becomes of one too many: it is refused, or the oldest one is dropped for it. */
  readonly overflow: (typeof UPLINK_OVERFLOW)[number]
}

export const UPLINK: UplinkSettings = {
  max: 1_000,
  maxBytes: 16 * 1024 * 1024,
  maxPayloadBytes: 256 * 1024,
  overflow: 'reject',
}

export interface SendOptions {
  /** Names the uplink: the server takes the same id within 24 h for the same one. Default: a random one. */
  readonly id?: string
  /** Default: by the kind of payload. */
  readonly contentType?: string
  /** Takes it back, unless it is on its way already; the promise rejects with the reason either way. */
  readonly signal?: AbortSignal
}

/** Sent and not confirmed at once. */
const IN_FLIGHT = 16
/** After connections that ended with nothing confirmed, the sending waits, so that what brings them down does not do so at once. */
const PAUSE_MS = 1_000
const PAUSE_MAX_MS = 60_000

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface Item {
  readonly number: number
  readonly uplink: StoredUplink
  inFlight: boolean
  readonly waiters: Waiter[]
}

/** False: not now. */
export type SendUplink = (frame: Uint8Array, confirmed: () => void) => boolean

export interface UplinkDeps {
  readonly store: StateStore
  readonly clock: Clock
  readonly newId: () => string
  /** One was dropped for a newer one. */
  readonly dropped: (error: PostriderError) => void
}

export class UplinkQueue {
  readonly #settings: UplinkSettings
  readonly #deps: UplinkDeps
  /** In order of their numbers. */
  readonly #items = new Map<number, Item>()
  readonly #byId = new Map<string, Item>()
  #bytes = 0
  #next = 1
  #send: SendUplink | null = null
  #inFlight = 0
  /** Connections in a row that ended with uplinks in flight and none confirmed. */
  #fruitless = 0
  #confirmedOne = false
  #cancelPause: (() => void) | null = null
  /** The first one that was not confirmed when the last connection ended. */
  #suspect: Item | null = null
  #closed: PostriderError | null = null

  constructor(settings: UplinkSettings, deps: UplinkDeps) {
    this.#settings = settings
    this.#deps = deps
    for (const [number, uplink] of deps.store.uplinks) this.#add({ number, uplink, inFlight: false, waiters: [] })
  }

  /** How many wait to be stored by the server. */
  get waiting(): number {
    return this.#items.size
  }

  /** Resolves when the server has stored it. Rejects with PostriderError, or with the reason of the signal. */
  async send(channel: string, payload: unknown, options: SendOptions = {}): Promise<void> {
    checkCall(options)
    const { signal } = options
    if (this.#closed !== null) throw this.#closed
    signal?.throwIfAborted()
    const item = this.#enqueue(this.#check(channel, payload, options))
    this.#pump()
    await this.#confirmed(item, signal)
  }

  /** A link is welcomed. */
  connected(send: SendUplink): void {
    this.#send = send
    this.#confirmedOne = false
    const pause = this.#fruitless < 2 ? 0 : Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(this.#fruitless - 2, 10))
    if (pause === 0) this.#pump()
    else {
      this.#cancelPause = this.#deps.clock.after(pause, () => {
        this.#cancelPause = null
        this.#pump()
      })
    }
  }

  /** What was not confirmed is sent again on the next link. */
  disconnected(): void {
    this.#send = null
    this.#cancelPause?.()
    this.#cancelPause = null
    if (this.#inFlight > 0) this.#fruitless = this.#confirmedOne ? 0 : this.#fruitless + 1
    this.#inFlight = 0
    this.#suspect = null
    for (const item of this.#items.values()) {
      if (item.inFlight) this.#suspect ??= item
      item.inFlight = false
    }
  }

  /**
   * The server ended the connection for good, over something that this client sent. An uplink that it was working on may have been
   * that (another one under an id that it knows, or one that is too large): it is given up, or it would be the end of every
   * client after this one too.
   */
  condemn(): void {
    const suspect = this.#suspect
    if (suspect === null) return
    this.#suspect = null
    this.#remove(suspect)
    const error = new PostriderError('uplink_refused', `id ${suspect.uplink.id}`)
    for (const { reject } of suspect.waiters.splice(0)) reject(error)
    this.#deps.dropped(error)
  }

  /** Nothing more is sent. What waits stays in the storage. */
  close(error: PostriderError): void {
    if (this.#send !== null) this.disconnected()
    this.#closed = error
    for (const item of this.#items.values()) for (const { reject } of item.waiters.splice(0)) reject(error)
  }

  // ----- in ------------------------------------------------------------------------------------------------------------------------

  #check(channel: string, payload: unknown, { id, contentType }: SendOptions): StoredUplink {
    const bad = (text: string): PostriderError => new PostriderError('bad_option', text)
    const isText = (text: unknown, max: number): boolean =>
      typeof text === 'string' && text !== '' && utf8Length(text) <= max
    if (typeof channel !== 'string' || !isUplinkChannel(channel)) {
      throw bad(
        `channel: 1 to ${FRAME_LIMITS.channelBytes} bytes of topic levels, without + and #, not beginning with /`,
      )
    }
    if (id !== undefined && !isText(id, FRAME_LIMITS.uplinkIdBytes)) {
      throw bad(`id: a string of 1 to ${FRAME_LIMITS.uplinkIdBytes} bytes`)
    }
    if (contentType !== undefined && !isText(contentType, FRAME_LIMITS.contentTypeBytes)) {
      throw bad(`contentType: a string of 1 to ${FRAME_LIMITS.contentTypeBytes} bytes`)
    }
    let encoded
    try {
      encoded = encodePayload(payload)
    } catch (error) {
      throw new PostriderError('bad_option', `payload: ${messageOf(error)}`, { cause: error })
    }
    const { maxPayloadBytes } = this.#settings
    if (encoded.bytes.length > maxPayloadBytes) {
      throw new PostriderError('payload_too_large', `${encoded.bytes.length} bytes; at most ${maxPayloadBytes}`)
    }
    return {
      channel,
      id: id ?? this.#deps.newId(),
      contentType: contentType ?? encoded.contentType,
      payload: encoded.bytes,
    }
  }

  #enqueue(uplink: StoredUplink): Item {
    // The same id is the same uplink, here as on the server.
    const known = this.#byId.get(uplink.id)
    if (known !== undefined) return known
    this.#makeRoom(uplink.payload.length)
    const item: Item = { number: this.#next, uplink, inFlight: false, waiters: [] }
    this.#add(item)
    const { store } = this.#deps
    store.put(uplinkKey(item.number), writeUplink(uplink))
    store.save()?.catch(() => undefined) // the store has told the client
    return item
  }

  #add(item: Item): void {
    this.#next = Math.max(this.#next, item.number + 1)
    this.#items.set(item.number, item)
    this.#byId.set(item.uplink.id, item)
    this.#bytes += item.uplink.payload.length
  }

  #makeRoom(bytes: number): void {
    const { max, maxBytes, overflow } = this.#settings
    while (this.#items.size >= max || this.#bytes + bytes > maxBytes) {
      // What is on its way may be stored already: dropping it would say nothing true.
      const oldest = overflow === 'reject' ? undefined : [...this.#items.values()].find((item) => !item.inFlight)
      if (oldest === undefined)
        throw new PostriderError('uplink_full', `${this.#items.size} wait, ${this.#bytes} bytes`)
      this.#remove(oldest)
      const error = new PostriderError('uplink_dropped', `id ${oldest.uplink.id}`)
      for (const { reject } of oldest.waiters.splice(0)) reject(error)
      this.#deps.dropped(error)
    }
  }

  #remove(item: Item): void {
    if (!this.#items.delete(item.number)) return
    this.#byId.delete(item.uplink.id)
    this.#bytes -= item.uplink.payload.length
    const { store } = this.#deps
    store.put(uplinkKey(item.number), null)
    store.save()?.catch(() => undefined)
  }

  #confirmed(item: Item, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        item.waiters.splice(item.waiters.indexOf(waiter), 1)
        // Nobody else wants it, and it has not left.
        if (item.waiters.length === 0 && !item.inFlight) this.#remove(item)
        reject(asError(signal?.reason))
      }
      const waiter: Waiter = {
        resolve: () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        },
        reject: (error) => {
          signal?.removeEventListener('abort', abort)
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      item.waiters.push(waiter)
    })
  }

  // ----- out -----------------------------------------------------------------------------------------------------------------------

  #pump(): void {
    const send = this.#send
    if (send === null || this.#cancelPause !== null) return
    for (const item of this.#items.values()) {
      if (this.#inFlight >= IN_FLIGHT) return
      if (item.inFlight) continue
      item.inFlight = true
      this.#inFlight++
      if (send(encodeUplink(item.uplink), () => this.#stored(item))) continue
      item.inFlight = false
      this.#inFlight--
      return
    }
  }

  #stored(item: Item): void {
    this.#inFlight--
    this.#confirmedOne = true
    this.#fruitless = 0
    this.#remove(item)
    for (const { resolve } of item.waiters.splice(0)) resolve()
    this.#pump()
  }
}

const SEND_OPTIONS = ['id', 'contentType', 'signal']

function checkCall(options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new PostriderError('bad_option', 'options: an object')
  }
  for (const name of Object.keys(options)) {
    if (!SEND_OPTIONS.includes(name)) throw new PostriderError('bad_option', `${name}: there is no such option`)
  }
  if ('signal' in options && options.signal !== undefined && !(options.signal instanceof AbortSignal)) {
    throw new PostriderError('bad_option', 'signal: an AbortSignal')
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
