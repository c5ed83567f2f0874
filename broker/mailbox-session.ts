import type { Logger } from '../core/log.js'
import type { Courier } from '../courier/courier-api.js'
import type { BrokerCounters, CloseReason, ProtocolError, SubackRefusal } from './counters.js'
import type { SubscribePacket, UnsubscribePacket } from './packets.js'
import type { PlainTransport } from './plain-transport.js'
import {
  decideSubscribe,
  decideUnsubscribe,
  mailboxSubscription,
  type FilterAnswer,
  type FilterLimits,
  type MailboxSubscription,
} from './subscribe-policy.js'

/** What a session needs of its connection. */
export interface SessionConnection {
  reply(packet: Buffer): void
  violated(error: ProtocolError): void
  close(reason: CloseReason): void
  /** The answers that were waited for are given. */
  sessionIdle(): void
}

export interface SessionOptions {
  readonly courier: Courier
  readonly transport: PlainTransport
  readonly connection: SessionConnection
  readonly clean: boolean
  readonly counters: BrokerCounters
  readonly limits: FilterLimits
  readonly log: Logger
}

/** One SUBSCRIBE may hold thousands of filters; so many of the refused ones are named in its log line. */
const LOGGED_FILTERS = 5

type SessionPacket = SubscribePacket | UnsubscribePacket

/**
 * The mailbox subscription of one connection: answers SUBSCRIBE and UNSUBSCRIBE, one after another. With clean=false the
 * subscription is durable before its SUBACK leaves; delivery begins after the SUBACK.
 */
export class MailboxSession {
  readonly #options: SessionOptions
  #active: MailboxSubscription | null = null
  /** What the device record keeps. */
  #kept: string | null
  /** Packets behind one that waits for the store; null: none waits. */
  #queue: SessionPacket[] | null = null

  constructor(options: SessionOptions) {
    this.#options = options
    const { courier, clean } = options
    this.#kept = clean ? null : courier.keptSubscription
    if (this.#kept !== null) this.#active = mailboxSubscription(courier.device, this.#kept)
  }

  /** A packet waits for the store: later ones must wait too. */
  get busy(): boolean {
    return this.#queue !== null
  }

  /** The filter that was restored from the device record, or null. */
  get restored(): string | null {
    return this.#active === null ? null : this.#kept
  }

  /** CONNACK has been written: a restored subscription delivers. */
  begin(): void {
    if (this.#active !== null) this.#deliver(this.#active)
  }

  accept(packet: SessionPacket): void {
    if (this.#queue !== null) {
      this.#queue.push(packet)
      return
    }
    const waiting = this.#apply(packet)
    if (waiting === null) return
    this.#queue = []
    void this.#drain(waiting)
  }

  async #drain(first: Promise<void>): Promise<void> {
    await first
    for (let next = this.#queue?.shift(); next !== undefined; next = this.#queue?.shift()) {
      const waiting = this.#apply(next)
      if (waiting !== null) await waiting
    }
    this.#queue = null
    this.#options.connection.sessionIdle()
  }

  /** Null: done. A promise never rejects. */
  #apply(packet: SessionPacket): Promise<void> | null {
    const { connection } = this.#options
    // [MQTT-2.3.1-1]
    if (packet.messageId === 0) {
      connection.violated('packet_id_0')
      return null
    }
    return packet.cmd === 'subscribe' ? this.#subscribe(packet) : this.#unsubscribe(packet)
  }

  #subscribe(packet: SubscribePacket): Promise<void> | null {
    const { connection, courier, limits } = this.#options
    const decision = decideSubscribe(courier.device, this.#active, packet.subscriptions, limits)
    if (decision.kind === 'violation') {
      connection.violated(decision.error)
      return null
    }
    this.#count(packet, decision.answers)
    const answer = (): void => {
      this.#active = decision.active
      connection.reply(suback(packet.messageId, decision.answers))
      if (decision.active !== null) this.#deliver(decision.active)
    }
    return this.#keep(decision.active, answer)
  }

  #unsubscribe(packet: UnsubscribePacket): Promise<void> | null {
    const { connection, courier, limits } = this.#options
    const decision = decideUnsubscribe(this.#active, packet.unsubscriptions, limits)
    if (decision.kind === 'violation') {
      connection.violated(decision.error)
      return null
    }
    // [MQTT-3.10.4-2]: nothing more after the UNSUBSCRIBE was read.
    if (decision.active === null) courier.pause()
    const answer = (): void => {
      this.#active = decision.active
      connection.reply(unsuback(packet.messageId))
    }
    return this.#keep(decision.active, answer)
  }

  /** Runs `answer` once the device record says `active`, as far as it has to. */
  #keep(active: MailboxSubscription | null, answer: () => void): Promise<void> | null {
    const filter = active?.filter ?? null
    if (this.#options.clean || this.#kept === filter) {
      answer()
      return null
    }
    return this.#store(filter, answer)
  }

  async #store(filter: string | null, answer: () => void): Promise<void> {
    const { courier, connection, log } = this.#options
    try {
      await courier.keepSubscription(filter)
    } catch (error) {
      // No answer: the device asks again on its next connection. A SUBACK 0x80 would make many clients give up.
      log.warn({ device: courier.device, err: error }, 'subscription could not be kept')
      connection.close('overload')
      return
    }
    this.#kept = filter
    answer()
  }

  #deliver(active: MailboxSubscription): void {
    this.#options.transport.setMode(active.mode)
    this.#options.courier.begin()
  }

  #count(packet: SubscribePacket, answers: readonly FilterAnswer[]): void {
    const { counters, log, courier } = this.#options
    const refused: Array<{ readonly filter: string | undefined; readonly reason: SubackRefusal }> = []
    answers.forEach((answer, i) => {
      if (answer.granted === 1) {
        counters.subscribesGranted++
        return
      }
      counters.subacksRefused[answer.reason]++
      if (refused.length < LOGGED_FILTERS)
        refused.push({ filter: packet.subscriptions[i]?.topic, reason: answer.reason })
    })
    if (refused.length > 0) log.info({ device: courier.device, refused }, 'subscriptions refused')
  }
}

/** [MQTT-3.8.4-2] */
function suback(packetId: number, answers: readonly FilterAnswer[]): Buffer {
  const remaining = 2 + answers.length
  const header: number[] = [0x90]
  let rest = remaining
  for (; rest >= 0x80; rest >>>= 7) header.push((rest & 0x7f) | 0x80)
  header.push(rest, packetId >>> 8, packetId & 0xff)
  return Buffer.from([...header, ...answers.map((answer) => answer.granted)])
}

/** [MQTT-3.10.4-4] */
function unsuback(packetId: number): Buffer {
  return Buffer.from([0xb0, 2, packetId >>> 8, packetId & 0xff])
}
