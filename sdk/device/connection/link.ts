// One MQTT connection: packets over a channel. It greets in one go, confirms what comes in, and finds out when nobody is there
// any more: after silence it pings, and what it sent with QoS 1 must be confirmed in time.

import { messageOf, PostriderError } from '../errors.js'
import {
  encodeConnect,
  encodeDisconnect,
  encodePingreq,
  encodePubacks,
  encodePublish,
  encodeSubscribe,
  join,
  type ConnectFields,
} from '../mqtt/encode.js'
import type { IncomingPacket } from '../mqtt/packets.js'
import { MqttError, PacketParser } from '../mqtt/parser.js'
import type { Channel, Clock, OpenChannel } from '../platform.js'

export interface LinkSettings {
  /** Milliseconds without a byte sent, after which a ping is. */
  readonly keepAliveMs: number
  /** The same while messages wait to be acknowledged: a server gives up on a device that says nothing then. */
  readonly busyKeepAliveMs: number
  /** Milliseconds after a ping in which some byte must come in. */
  readonly pingTimeoutMs: number
  /** Milliseconds in which a QoS 1 packet must be confirmed. */
  readonly ackTimeoutMs: number
  readonly maxPacketBytes: number
}

/** Nothing is called after `onEnd`, or after the link was ended by this side. */
export interface LinkHandlers {
  /** `greet` may be called. */
  onOpen(): void
  /** CONNACK with another code than 0. */
  onRefused(code: number): void
  /** SUBACK refused the subscription. */
  onUnsubscribed(): void
  /** The payload of a PUBLISH; shares memory with its neighbours. */
  onFrame(topic: string, payload: Uint8Array): void
  /** A QoS 1 packet of this side was confirmed. */
  onConfirmed(): void
  /** What came in is no MQTT. */
  onMalformed(error: PostriderError): void
  onEnd(error: PostriderError): void
}

const SUBSCRIBE_ID = 1
const FIRST_ID = 2
const LAST_ID = 0xffff
const FAILURE = 0x80

interface Unconfirmed {
  readonly sentAt: number
  readonly confirmed: () => void
}

export class Link {
  readonly #settings: LinkSettings
  readonly #clock: Clock
  readonly #handlers: LinkHandlers
  readonly #channel: Channel
  readonly #parser: PacketParser
  #state: 'opening' | 'open' | 'accepted' | 'over' = 'opening'
  #nextId = FIRST_ID
  /** By packet id, oldest first. */
  readonly #unconfirmed = new Map<number, Unconfirmed>()
  /** Ids of the chunk that is being read. */
  #received: number[] = []
  #busy = false
  #sentAt: number
  /** When a ping was due last; one that is not answered yet needs no second one. */
  #askedAt = 0
  #cancelKeepAlive: (() => void) | null = null
  #keepAliveAt = Infinity
  #cancelPong: (() => void) | null = null
  #cancelAck: (() => void) | null = null

  constructor(url: URL, open: OpenChannel, settings: LinkSettings, clock: Clock, handlers: LinkHandlers) {
    this.#settings = settings
    this.#clock = clock
    this.#handlers = handlers
    this.#parser = new PacketParser(settings.maxPacketBytes)
    this.#sentAt = this.#askedAt = clock.now()
    this.#channel = open(url, {
      onOpen: () => {
        if (this.#state !== 'opening') return
        this.#state = 'open'
        handlers.onOpen()
      },
      onData: (bytes) => this.#onData(bytes),
      onEnd: (error) => this.#onEnd(error),
    })
  }

  get over(): boolean {
    return this.#state === 'over'
  }

  /** Messages wait to be acknowledged: silence is broken sooner. */
  set busy(busy: boolean) {
    if (busy === this.#busy) return
    this.#busy = busy
    if (busy && this.#state !== 'over') this.#keepAlive()
  }

  /**
   * CONNECT, SUBSCRIBE and the hello, without waiting for an answer between them: one round trip. MQTT 3.1.1 allows it (3.1.4,
   * last comment): a server that refuses the CONNECT reads no further [MQTT-3.1.4-5].
   */
  greet(connect: ConnectFields, filter: string, helloTopic: string, hello: Uint8Array): void {
    const packets = [
      encodeConnect(connect),
      encodeSubscribe(filter, SUBSCRIBE_ID),
      encodePublish(helloTopic, hello, null),
    ]
    this.#write(join(packets))
    this.#keepAlive()
  }

  /** QoS 0, or QoS 1 when somebody wants to know that it arrived. False: no packet id is free. */
  publish(topic: string, payload: Uint8Array, confirmed: (() => void) | null): boolean {
    if (this.#state === 'over') return false
    if (confirmed === null) {
      this.#write(encodePublish(topic, payload, null))
      return true
    }
    const id = this.#freeId()
    if (id === null) return false
    this.#unconfirmed.set(id, { sentAt: this.#clock.now(), confirmed })
    this.#write(encodePublish(topic, payload, id))
    if (this.#cancelAck === null) this.#watchAcks()
    return true
  }

  /** QoS 1 packets that are not confirmed. */
  get unconfirmed(): number {
    return this.#unconfirmed.size
  }

  /** Looks whether the other side is still there. */
  ping(): void {
    if (this.#state === 'over' || this.#cancelPong !== null) return
    const { pingTimeoutMs } = this.#settings
    this.#cancelPong = this.#clock.after(pingTimeoutMs, () => {
      this.#cancelPong = null
      this.#fail(new PostriderError('ping_timeout', `${pingTimeoutMs} ms`))
    })
    this.#write(encodePingreq())
  }

  /** DISCONNECT, and the end behind everything that was written. Resolves when that has left. */
  async end(): Promise<void> {
    if (this.#state === 'over') return
    if (this.#state !== 'opening') this.#channel.write(encodeDisconnect())
    this.#stop()
    await this.#channel.end()
  }

  /** The end at once. */
  destroy(): void {
    if (this.#state === 'over') return
    this.#stop()
    this.#channel.destroy()
  }

  // ----- what comes in -----------------------------------------------------------------------------------------------------------

  #onData(bytes: Uint8Array): void {
    if (this.#state === 'over') return
    // Whoever sends something is there.
    this.#cancelPong?.()
    this.#cancelPong = null
    try {
      this.#parser.push(bytes, (packet) => this.#onPacket(packet))
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
      this.#malformed(error.message)
      return
    }
    // Received, which is all that a PUBACK says in stream mode; one write for the whole chunk.
    const received = this.#received
    if (received.length === 0) return
    this.#received = []
    this.#write(encodePubacks(received))
  }

  #onPacket(packet: IncomingPacket): void {
    if (this.#state === 'over') return
    if (packet.type === 'connack') {
      if (this.#state !== 'open') return this.#malformed('a second CONNACK') // [MQTT-3.1.4-4]
      if (packet.code !== 0) return this.#handlers.onRefused(packet.code)
      this.#state = 'accepted'
      return
    }
    // [MQTT-3.2.0-1]: CONNACK is the first packet of a server.
    if (this.#state !== 'accepted') return this.#malformed(`${packet.type} before CONNACK`)
    switch (packet.type) {
      case 'publish':
        if (packet.packetId !== null) this.#received.push(packet.packetId)
        this.#handlers.onFrame(packet.topic, packet.payload)
        return
      case 'puback':
        this.#onPuback(packet.packetId)
        return
      case 'suback':
        if (packet.packetId !== SUBSCRIBE_ID || packet.codes.length !== 1)
          this.#malformed('a SUBACK for something else')
        else if (packet.codes[0] === FAILURE) this.#handlers.onUnsubscribed()
        return
      case 'pingresp':
        return
    }
  }

  #onPuback(id: number): void {
    const sent = this.#unconfirmed.get(id)
    if (sent === undefined) return // a second one for the same packet: nothing that matters
    this.#unconfirmed.delete(id)
    sent.confirmed()
    if (this.#state !== 'over') this.#handlers.onConfirmed()
  }

  #malformed(text: string): void {
    this.#handlers.onMalformed(new PostriderError('malformed_frame', text))
  }

  #onEnd(error: Error | null): void {
    if (this.#state === 'over') return
    const code = this.#state === 'opening' ? 'connect_failed' : 'connection_lost'
    this.#stop()
    this.#handlers.onEnd(new PostriderError(code, error === null ? undefined : messageOf(error), { cause: error }))
  }

  // ----- time ----------------------------------------------------------------------------------------------------------------------

  #fail(error: PostriderError): void {
    this.destroy()
    this.#handlers.onEnd(error)
  }

  #stop(): void {
    this.#state = 'over'
    this.#cancelKeepAlive?.()
    this.#cancelPong?.()
    this.#cancelAck?.()
    this.#unconfirmed.clear()
  }

  #write(bytes: Uint8Array): void {
    if (this.#state === 'over') return
    this.#sentAt = this.#clock.now()
    this.#channel.write(bytes)
  }

  /** A ping is due so long after the last byte that was sent. The timer is moved only when it is late, not with every byte. */
  #keepAlive(): void {
    const { keepAliveMs, busyKeepAliveMs } = this.#settings
    const interval = this.#busy ? Math.min(keepAliveMs, busyKeepAliveMs) : keepAliveMs
    const due = Math.max(this.#sentAt, this.#askedAt) + interval
    if (interval === 0 || due >= this.#keepAliveAt) return
    this.#cancelKeepAlive?.()
    this.#keepAliveAt = due
    this.#cancelKeepAlive = this.#clock.after(due - this.#clock.now(), () => {
      this.#keepAliveAt = Infinity
      this.#cancelKeepAlive = null
      const quiet = this.#busy ? Math.min(keepAliveMs, busyKeepAliveMs) : keepAliveMs
      if (this.#clock.now() - this.#sentAt >= quiet) {
        this.#askedAt = this.#clock.now()
        this.ping()
      }
      this.#keepAlive()
    })
  }

  /** Only the oldest one is watched: the server confirms in order. */
  #watchAcks(): void {
    const [oldest] = this.#unconfirmed.values()
    if (oldest === undefined) {
      this.#cancelAck = null
      return
    }
    const { ackTimeoutMs } = this.#settings
    const left = oldest.sentAt + ackTimeoutMs - this.#clock.now()
    if (left <= 0) {
      this.#fail(new PostriderError('ack_timeout', `${ackTimeoutMs} ms`))
      return
    }
    this.#cancelAck = this.#clock.after(left, () => this.#watchAcks())
  }

  #freeId(): number | null {
    if (this.#unconfirmed.size >= LAST_ID - FIRST_ID) return null
    while (this.#unconfirmed.has(this.#nextId)) this.#nextId = this.#nextId === LAST_ID ? FIRST_ID : this.#nextId + 1
    const id = this.#nextId
    this.#nextId = id === LAST_ID ? FIRST_ID : id + 1
    return id
  }
}
