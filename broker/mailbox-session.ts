import type { Logger } from '../core/log.js'
import type { Courier } from '../courier/courier-api.js'
import type { BrokerCounters, CloseReason, ProtocolError, SubackRefusal } from './counters.js'
import type { SubscribePacket, UnsubscribePacket } from './packets.js'
import type { MailboxTransport } from './mailbox-transport.js'
import {
  decideSubscribe,
  decideUnsubscribe,
  familyOf,
  mailboxSubscription,
  SUBACK_FAILURE,
  type FilterAnswer,
  type FilterLimits,
  type MailboxFamily,
  type MailboxSubscription,
  type RequestedFilter,
  type Subscriber,
} from './subscribe-policy.js'

/** What a session needs of its connection. */
export interface SessionConnection {
  reply(packet: Buffer): void
  violated(error: ProtocolError): void
  close(reason: CloseReason): void
  /** The answers that were waited for are given. */
  sessionIdle(): void
}

/** The ordinary subscriptions of the connection; see PubSub. */
export interface OrdinarySubscriptions {
  /** Why a filter is refused; null: it is granted. */
  refuses(filter: string): SubackRefusal | null
  readonly subscribed: Subscriber['subscribed']
  subscribe(filters: readonly RequestedFilter[]): Promise<void> | null
  unsubscribe(filters: readonly string[]): Promise<void> | null
}

/** How the device's mailbox reaches it. */
export interface SessionMailbox {
  readonly courier: Courier
  readonly transport: MailboxTransport
}

export interface SessionOptions {
  readonly device: string
  /** Null: the id is outside the device pattern, and has none. */
  readonly mailbox: SessionMailbox | null
  readonly ordinary: OrdinarySubscriptions
  readonly connection: SessionConnection
  readonly clean: boolean
  readonly counters: BrokerCounters
  readonly limits: FilterLimits
  readonly log: Logger
}

/** One SUBSCRIBE may hold thousands of filters; so many of the refused ones are named in its log line. */
const LOGGED_FILTERS = 5

/** A function: something that must wait for its turn. */
type SessionPacket = SubscribePacket | UnsubscribePacket | (() => void)

/**
 * Answers SUBSCRIBE and UNSUBSCRIBE of one connection, one after another, and holds its mailbox subscription. With clean=false
 * what is subscribed to is durable before the SUBACK leaves; the mailbox delivers after the SUBACK.
 */
export class MailboxSession {
  readonly #options: SessionOptions
  #active: MailboxSubscription | null = null
  #family: MailboxFamily | null = null
  /** What the device record keeps. */
  #kept: string | null
  /** Packets behind one that waits for the store; null: none waits. */
  #queue: SessionPacket[] | null = null

  constructor(options: SessionOptions) {
    this.#options = options
    const { mailbox, device, clean } = options
    this.#kept = clean || mailbox === null ? null : mailbox.courier.keptSubscription
    if (this.#kept !== null) this.#active = mailboxSubscription(device, this.#kept)
  }

  /** A packet waits for the store: later ones must wait too. */
  get busy(): boolean {
    return this.#queue !== null
  }

  /** The mailbox subscription was restored from the device record. */
  get resumed(): boolean {
    return this.#active !== null && this.#kept !== null
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

  /** Runs `next` after what is waited for now, if the connection has not ended by then. */
  afterwards(next: () => void): void {
    this.accept(next)
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
    if (typeof packet === 'function') {
      packet()
      return null
    }
    // [MQTT-2.3.1-1]
    if (packet.messageId === 0) {
      connection.violated('packet_id_0')
      return null
    }
    return packet.cmd === 'subscribe' ? this.#subscribe(packet) : this.#unsubscribe(packet)
  }

  #subscribe(packet: SubscribePacket): Promise<void> | null {
    const { connection, device, limits, mailbox, ordinary } = this.#options
    const subscriber = {
      device,
      hasMailbox: mailbox !== null,
      family: this.#family,
      refuses: (filter: string) => ordinary.refuses(filter),
      subscribed: ordinary.subscribed,
    }
    const decision = decideSubscribe(subscriber, this.#active, packet.subscriptions, limits)
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
    const subscribe = (): Promise<void> | null =>
      decision.ordinary.length === 0 ? null : ordinary.subscribe(decision.ordinary)
    return this.#keep(decision.active, subscribe, answer)
  }

  #unsubscribe(packet: UnsubscribePacket): Promise<void> | null {
    const { connection, limits, mailbox, ordinary } = this.#options
    const decision = decideUnsubscribe(this.#active, packet.unsubscriptions, limits)
    if (decision.kind === 'violation') {
      connection.violated(decision.error)
      return null
    }
    // [MQTT-3.10.4-2]: nothing more after the UNSUBSCRIBE was read.
    if (decision.active === null) {
      mailbox?.courier.pause()
      mailbox?.transport.unsubscribed()
    }
    const answer = (): void => {
      this.#active = decision.active
      connection.reply(unsuback(packet.messageId))
    }
    return this.#keep(decision.active, () => ordinary.unsubscribe(packet.unsubscriptions), answer)
  }

  /** Runs `answer` once the device record says `active` and what `ordinary` did is stored, as far as they have to. */
  #keep(
    active: MailboxSubscription | null,
    ordinary: () => Promise<void> | null,
    answer: () => void,
  ): Promise<void> | null {
    const filter = active?.filter ?? null
    let stored: Promise<void> | null
    try {
      stored = ordinary()
    } catch (error) {
      this.#failed(error)
      return null
    }
    const keeps = !this.#options.clean && this.#kept !== filter
    if (!keeps && stored === null) {
      answer()
      return null
    }
    return this.#store(keeps, filter, stored, answer)
  }

  async #store(keeps: boolean, filter: string | null, stored: Promise<void> | null, answer: () => void): Promise<void> {
    try {
      await Promise.all([keeps ? this.#options.mailbox?.courier.keepSubscription(filter) : null, stored])
    } catch (error) {
      this.#failed(error)
      return
    }
    if (keeps) this.#kept = filter
    answer()
  }

  /** No answer: the device asks again on its next connection. A SUBACK 0x80 would make many clients give up. */
  #failed(error: unknown): void {
    const { connection, device, log } = this.#options
    log.warn({ device, err: error }, 'subscriptions could not be kept')
    connection.close('overload')
  }

  #deliver(active: MailboxSubscription): void {
    const { mailbox } = this.#options
    this.#family = familyOf(active.mode)
    mailbox?.transport.subscribed(active.mode)
    mailbox?.courier.begin(this.#family)
  }

  #count(packet: SubscribePacket, answers: readonly FilterAnswer[]): void {
    const { counters, log, device } = this.#options
    const refused: Array<{ readonly filter: string | undefined; readonly reason: SubackRefusal }> = []
    answers.forEach((answer, i) => {
      if (answer.granted !== SUBACK_FAILURE) {
        counters.subscribesGranted++
        return
      }
      counters.subacksRefused[answer.reason]++
      if (refused.length < LOGGED_FILTERS)
        refused.push({ filter: packet.subscriptions[i]?.topic, reason: answer.reason })
    })
    if (refused.length > 0) log.info({ device, refused }, 'subscriptions refused')
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
