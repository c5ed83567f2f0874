// The device's client: puts the parts together and shows them to the application. storage → connector → inbox → handler, and
// uplink → connector. What ends one of them ends all.

import { encodeAck } from '../../protocol/frames/ack.js'
import { encodeHello } from '../../protocol/frames/hello.js'
import { streamTopic } from '../../protocol/topics.js'
import { Connector, type InboxFrame } from './connection/connector.js'
import type { ClientState } from './connection/machine-types.js'
import { TokenSource } from './connection/token-source.js'
import { asStorageError, messageOf, PostriderError } from './errors.js'
import { EventHub, type ClientEventName, type Listener } from './events.js'
import { Inbox } from './handling/inbox.js'
import { MessagePull } from './handling/message-pull.js'
import { Parking, type ParkedMessage } from './handling/parking.js'
import { limitedSlots } from './handling/slots.js'
import { inTime } from './in-time.js'
import type { Message } from './message.js'
import { packetLimit, type Settings } from './options.js'
import type { Platform } from './platform.js'
import { randomId } from './random-id.js'
import { StateStore } from './storage/state-store.js'
import { UplinkQueue, type SendOptions } from './uplink/uplink-queue.js'
import { SDK_NAME } from './version.js'

/** With messages unacknowledged, a server gives up on a device that says nothing for 60 s. */
const BUSY_KEEP_ALIVE_MS = 20_000

/** Everything that needs the storage to have been read. */
interface Parts {
  readonly store: StateStore
  readonly inbox: Inbox
  readonly uplink: UplinkQueue
  readonly parking: Parking
}

export class Client implements AsyncIterable<Message> {
  readonly #settings: Settings
  readonly #platform: Platform
  readonly #events = new EventHub()
  readonly #connector: Connector
  readonly #pull: MessagePull | null
  readonly #abort = new AbortController()
  readonly #tokens: TokenSource
  /** Null: the storage is being read. */
  #parts: Parts | null = null
  readonly #opened: Promise<Parts>
  #acksUnconfirmed = false
  #closing = false
  #ended = false

  /** Resolves when the client has ended, whatever the reason: null, or the error that ended it. Never rejects. */
  readonly closed: Promise<PostriderError | null>
  #resolveClosed: (error: PostriderError | null) => void = () => undefined

  /** @internal Use `connect`. */
  constructor(settings: Settings, platform: Platform) {
    this.#settings = settings
    this.#platform = platform
    const { clock, random } = platform
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    this.#pull = settings.handler === null ? new MessagePull() : null
    this.#tokens = new TokenSource(settings.token, settings.getToken, settings.tokenTimeoutMs, clock, random)
    this.#connector = this.#newConnector()
    this.#opened = this.#open()
    this.#opened.then(
      ({ store }) => {
        // It came too late: nobody else lets go of it.
        if (this.#ended) void store.close().catch(() => undefined)
        else if (this.#closing) this.#connector.dispatch({ type: 'close' })
        else this.#connector.start(store.url)
      },
      (error: unknown) => this.#fail(asStorageError(error)),
    )
    const { signal } = settings
    if (signal !== null) {
      const close = (): void => void this.close()
      if (signal.aborted) close()
      else signal.addEventListener('abort', close, { once: true, signal: this.#abort.signal })
    }
  }

  get deviceId(): string {
    return this.#settings.deviceId
  }

  get state(): ClientState {
    return this.#ended ? 'closed' : this.#connector.state
  }

  /** What went wrong last, however long ago; null: nothing yet. When the client has ended: why, and null if it was closed. */
  get lastError(): PostriderError | null {
    return this.#lastError
  }

  /** Uplinks that the server has not confirmed. 0 until the storage was read. */
  get uplinkWaiting(): number {
    return this.#parts?.uplink.waiting ?? 0
  }

  /**
   * Resolves when the client is live: connected, and everything handled that waited. Rejects with the error that ended it
   * before, `closed`, or the reason of the signal: `ready(AbortSignal.timeout(5_000))`.
   */
  ready(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      if (this.state === 'live') return resolve()
      if (this.#ended) return void this.closed.then((error) => reject(error ?? new PostriderError('closed')))
      const settle = (end: () => void): void => {
        off()
        signal?.removeEventListener('abort', abort)
        end()
      }
      const abort = (): void => settle(() => reject(asError(signal?.reason)))
      const off = this.#events.on('state', ({ state, error }) => {
        if (state === 'live') settle(resolve)
        else if (state === 'closed') settle(() => reject(error ?? new PostriderError('closed')))
      })
      signal?.addEventListener('abort', abort, { once: true })
    })
  }

  /**
   * Looks at once whether the connection still stands, or makes one without waiting any longer. Browsers do it by themselves; an
   * application does where only it knows: a modem that is up, a phone's app that is in front again.
   */
  wake(): void {
    this.#connector.dispatch({ type: 'network', back: true })
  }

  /** Listens to an event. Answers what ends that. Throws `bad_option` for an event that does not exist. */
  on<N extends ClientEventName>(name: N, listener: Listener<N>): () => void {
    if (!this.#events.has(name)) throw new PostriderError('bad_option', `there is no event ${String(name)}`)
    if (typeof listener !== 'function') throw new PostriderError('bad_option', 'the listener: a function')
    return this.#events.on(name, listener)
  }

  /**
   * Sends to the backend. Resolves when the server has stored it. Until then it is kept in the storage, and sent on the next
   * connection, also after a restart. Rejects with PostriderError: `bad_option`, `payload_too_large`, `uplink_full`,
   * `uplink_dropped`, `uplink_refused`, `closed` (it stays in a storage that does not forget), or the error that ended the client; or with the
   * reason of the signal.
   */
  async send(channel: string, payload: unknown, options: SendOptions = {}): Promise<void> {
    const { uplink } = await this.#loaded()
    await uplink.send(channel, payload, options)
  }

  /** The messages that the policy `park` put aside, oldest first. */
  async parked(): Promise<readonly ParkedMessage[]> {
    return (await this.#loaded()).parking.list()
  }

  /** Forgets a parked message; false: there is none with this key. */
  async removeParked(key: string): Promise<boolean> {
    return (await this.#loaded()).parking.remove(key)
  }

  /** Gives a parked message to the handler (or to `handle`) again, and forgets it when that resolves. Rejects with what it throws. */
  async retryParked(key: string, handle?: (message: Message) => unknown): Promise<void> {
    const { handler } = this.#settings
    if (handle !== undefined && typeof handle !== 'function')
      throw new PostriderError('bad_option', 'handle: a function')
    const use =
      handle ?? (handler === null ? null : (message: Message) => handler(message, { signal: this.#abort.signal }))
    if (use === null) throw new PostriderError('bad_option', 'handle: a function, as the client has no handler')
    return (await this.#loaded()).parking.retry(key, use)
  }

  /**
   * The messages, when there is no handler. The loop is the handler then: a message counts as handled when the next one is asked
   * for, or at `message.ack()`. Ends when the client is closed; throws the error that ended it. One loop at a time.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    if (this.#pull === null) throw new PostriderError('bad_option', 'the client has a handler; it gets the messages')
    return this.#pull.iterate()
  }

  /**
   * Ends the client: starts no handler any more, waits for the one that runs (`closeTimeoutMs`), sends the last acknowledgements
   * and disconnects. A storage that does not answer in `closeTimeoutMs` is given up: `storage_failed`. Resolves as `closed` does.
   */
  close(): Promise<PostriderError | null> {
    this.#pull?.end(null)
    // While the storage is being read there is nothing to end yet.
    if (this.#parts !== null) this.#connector.dispatch({ type: 'close' })
    else if (!this.#closing)
      this.#storageInTime(this.#opened).catch((error: unknown) => this.#fail(asStorageError(error)))
    this.#closing = true
    return this.closed
  }

  // ----- putting together ----------------------------------------------------------------------------------------------------------

  async #open(): Promise<Parts> {
    const { storage, deviceId, handler, concurrency, parkedMax } = this.#settings
    const { clock, random } = this.#platform
    const store = await StateStore.open(storage, deviceId, (error) => this.#fail(error))
    const events = this.#events
    const parking = new Parking(store, parkedMax)
    const pull = this.#pull
    const { signal } = this.#abort
    const inbox = new Inbox(
      {
        mode: this.#settings.ack,
        retry: this.#settings.retry,
        poison: this.#settings.poison,
        window: this.#settings.window,
      },
      {
        store,
        clock,
        random,
        slots: pull === null ? limitedSlots(concurrency) : pull.demand,
        handle: handler === null ? (message) => pull?.handle(message) : (message) => handler(message, { signal }),
        events: {
          gap: ({ log, epoch, from, to, reason }) => events.emit('gap', { log, epoch, from, to, reason }),
          acknowledged: (message) => pull?.acknowledge(message),
          repeated: (message, first) => events.emit('duplicate', { message, first }),
          failed: (_message, error) => this.#report(error),
          skipped: (message, error) => events.emit('skipped', { message, error }),
          park: (entry, log, attempts, error) => parking.park(log, entry, attempts, messageOf(error)),
          parked: (message, error) => events.emit('parked', { message, error }),
          stop: (error) => this.#fail(error),
          acks: (acks) => this.#sendAcks(encodeAck(acks)),
          caughtUp: () => this.#connector.dispatch({ type: 'caught-up' }),
          busy: (busy) => {
            const { link } = this.#connector
            if (link !== null) link.busy = busy
          },
        },
      },
    )
    const dropped = (error: PostriderError): void => this.#report(error)
    const uplink = new UplinkQueue(this.#settings.uplink, { store, clock, newId: randomId, dropped })
    const parts = { store, inbox, uplink, parking }
    this.#parts = parts
    return parts
  }

  /** Rejects as `#opened` does, or when the client ends before that. */
  #loaded(): Promise<Parts> {
    if (this.#parts !== null) return Promise.resolve(this.#parts)
    const ended = this.closed.then((error) => Promise.reject(error ?? new PostriderError('closed')))
    return Promise.race([this.#opened, ended])
  }

  /** A client that ends waits for no storage without end. */
  #storageInTime<T>(work: Promise<T>): Promise<T> {
    const { closeTimeoutMs } = this.#settings
    const late = (): PostriderError => new PostriderError('storage_failed', `no answer within ${closeTimeoutMs} ms`)
    return inTime(work, closeTimeoutMs, this.#platform.clock, late)
  }

  #newConnector(): Connector {
    const settings = this.#settings
    return new Connector(
      {
        deviceId: settings.deviceId,
        urls: settings.urls,
        keepAliveSeconds: settings.keepAliveSeconds,
        machine: {
          urls: settings.urls.length,
          renewable: settings.getToken !== null,
          backoff: settings.backoff,
          connectTimeoutMs: settings.connectTimeoutMs,
          closeTimeoutMs: settings.closeTimeoutMs,
        },
        link: {
          keepAliveMs: settings.keepAliveSeconds * 1_000,
          busyKeepAliveMs: BUSY_KEEP_ALIVE_MS,
          pingTimeoutMs: settings.pingTimeoutMs,
          ackTimeoutMs: settings.ackTimeoutMs,
          maxPacketBytes: packetLimit(settings),
        },
      },
      this.#platform,
      this.#tokens,
      {
        hello: () =>
          encodeHello({
            cursors: this.#parts?.inbox.cursors() ?? new Map(),
            window: settings.window,
            maxFrameBytes: settings.maxFrameBytes,
            sdk: SDK_NAME,
          }),
        welcome: (frame) => {
          this.#acksUnconfirmed = false
          this.#parts?.inbox.welcome(frame)
          this.#parts?.uplink.connected((bytes, confirmed) => this.#publish('uplink', bytes, confirmed))
        },
        frame: (frame) => this.#onFrame(frame),
        disconnected: () => {
          this.#parts?.inbox.disconnected()
          this.#parts?.uplink.disconnected()
        },
        flush: () => this.#parts?.inbox.flush(),
        stop: async () => {
          this.#pull?.end(null)
          await this.#parts?.inbox.stop()
        },
        state: (state, error, waitMs) => this.#onState(state, error, waitMs),
        report: (error) => this.#report(error),
        workingUrl: (url) => {
          const store = this.#parts?.store
          if (store === undefined || store.url === url.href) return
          store.url = url.href
          store.save()?.catch(() => undefined) // the store has told
        },
        ended: (error) => this.#end(error),
      },
    )
  }

  // ----- what happens ----------------------------------------------------------------------------------------------------------------

  #onFrame(frame: InboxFrame): PostriderError | null {
    const inbox = this.#parts?.inbox
    if (inbox === undefined) return null
    if (frame.t === 'data') return inbox.data(frame)
    if (frame.t === 'gap') return inbox.gap(frame)
    const broken = inbox.reset(frame)
    if (broken !== null) return broken
    const { log, epoch, cursor, head } = frame
    this.#events.emit('reset', { log, epoch, cursor, head })
    return null
  }

  /** One in flight is confirmed, as a sign of life; those behind it on the same connection need no answer. */
  #sendAcks(bytes: Uint8Array): void {
    if (this.#acksUnconfirmed) {
      this.#publish('ack', bytes, null)
      return
    }
    this.#acksUnconfirmed = this.#publish('ack', bytes, () => {
      this.#acksUnconfirmed = false
    })
  }

  #publish(control: 'ack' | 'uplink', bytes: Uint8Array, confirmed: (() => void) | null): boolean {
    const { link } = this.#connector
    return link !== null && link.publish(`${streamTopic(this.#settings.deviceId)}/${control}`, bytes, confirmed)
  }

  #previous: ClientState = 'connecting'
  #onState(state: ClientState, error: PostriderError | null, waitMs: number | null): void {
    if (state === 'closed') return // told at the very end
    const previous = this.#previous
    this.#previous = state
    this.#events.emit('state', { state, previous, error, waitMs })
  }

  #lastError: PostriderError | null = null
  #report(error: PostriderError): void {
    this.#lastError = error
    this.#events.emit('error', error)
  }

  #fail(error: PostriderError): void {
    this.#connector.dispatch({ type: 'fail', error })
  }

  /** The connection is gone for good: the rest follows, and then it is told. */
  #end(error: PostriderError | null): void {
    if (this.#ended) return
    this.#ended = true
    void this.#finish(error)
  }

  async #finish(error: PostriderError | null): Promise<void> {
    const parts = this.#parts
    this.#pull?.end(error)
    let last = error
    if (parts !== null) {
      if (error?.code === 'protocol_error') parts.uplink.condemn()
      parts.uplink.close(error ?? new PostriderError('closed'))
      // A handler that still runs has had its time; what it does from now on is not recorded.
      void parts.inbox.stop()
      this.#abort.abort(error ?? new PostriderError('closed'))
      try {
        await this.#storageInTime(parts.store.close())
      } catch (failure) {
        last ??= asStorageError(failure)
      }
    }
    const previous = this.#previous
    this.#previous = 'closed'
    this.#lastError = last
    if (last !== null) this.#report(last)
    this.#events.emit('state', { state: 'closed', previous, error: last, waitMs: null })
    this.#resolveClosed(last)
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)))
