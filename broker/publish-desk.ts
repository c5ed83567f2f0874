// Takes the PUBLISH packets of one connection: each goes the road that the policy says, and is acknowledged in its turn, when
// what it asks for is stored.

import type { Logger } from '../core/log.js'
import { allows, type Acl } from '../protocol/acl.js'
import { AnswerQueue } from './answer-queue.js'
import type { BrokerCounters, CloseReason, ProtocolError } from './counters.js'
import type { BrokerLimits } from './limits.js'
import type { SessionMailbox } from './mailbox-session.js'
import type { PublishPacket } from './packets.js'
import type { OrdinaryClient } from './pubsub/client.js'
import { encodePuback, encodePubrec } from './pubsub/encode.js'
import { judgePublish, type PublishDenial, type Publisher } from './publish-policy.js'
import { StreamControl, type ControlConnection } from './stream/stream-control.js'
import { topicExcess, type TopicExcess, type TopicLimits } from './topic-limits.js'
import { UplinkClient, type UplinkFields } from './uplink/uplink-client.js'
import type { UplinkWriter } from './uplink/uplink-writer.js'

/** What is needed of the connection. */
export interface PublishingConnection extends ControlConnection {
  reply(packet: Buffer): void
  close(reason: CloseReason): void
  violated(error: ProtocolError): void
  /** `busy` has become false. */
  sessionIdle(): void
  /** Nothing is read for a while, which is not the device's silence. */
  waits(): void
}

export interface PublishDeskOptions {
  readonly device: string
  /** Null: the device has none, and so no stream mode. */
  readonly mailbox: SessionMailbox | null
  readonly acl: Acl
  readonly ordinary: OrdinaryClient
  readonly connection: PublishingConnection
  readonly uplink: UplinkWriter
  readonly limits: TopicLimits & Pick<BrokerLimits, 'maxPayloadBytes'>
  readonly counters: BrokerCounters
  readonly log: Logger
}

export class PublishDesk {
  readonly #options: PublishDeskOptions
  readonly #publisher: Publisher
  /** Made by the first publish that is acknowledged. */
  #answers: AnswerQueue | null = null
  /** Made by the first frame of stream mode. */
  #control: StreamControl | null = null
  /** Made by the first uplink. */
  #uplink: UplinkClient | null = null

  constructor(options: PublishDeskOptions) {
    this.#options = options
    const { device, mailbox, acl } = options
    this.#publisher = { device, hasMailbox: mailbox !== null, mayPublish: (topic) => allows(acl.publish, topic) }
  }

  /** So much waits for the store that nothing more should come. */
  get busy(): boolean {
    return this.#answers?.busy === true || this.#uplink?.full === true
  }

  /** Every publish that came is acknowledged. */
  get rests(): boolean {
    return this.#answers?.empty !== false
  }

  accept(packet: PublishPacket): void {
    const { connection, limits } = this.#options
    if (packet.qos > 0 && packet.messageId === 0) {
      connection.violated('packet_id_0') // [MQTT-2.3.1-1]
      return
    }
    const excess = topicExcess(packet.topic, limits)
    if (excess !== null) {
      this.#deny(packet.topic, excess)
      return
    }
    const road = judgePublish(packet, this.#publisher)
    // A frame is larger than the payload in it.
    if (road.kind !== 'control' && packet.payload.length > limits.maxPayloadBytes) {
      this.#deny(packet.topic, 'too_large')
      return
    }
    switch (road.kind) {
      case 'denied':
        this.#deny(packet.topic, road.reason)
        break
      case 'control':
        this.#takeControl(packet, road.control)
        break
      case 'uplink':
        this.#takeUplink(packet, { channel: road.channel, contentType: null, dedupId: null, payload: packet.payload })
        break
      case 'ordinary':
        this.#publish(packet)
        break
    }
  }

  #takeControl(packet: PublishPacket, control: 'hello' | 'ack' | 'uplink'): void {
    const { mailbox } = this.#options
    if (mailbox === null) return // the policy has refused it
    this.#control ??= new StreamControl({ ...this.#options, ...mailbox })
    const frame = this.#control.accept(packet, control)
    if (frame === false) return
    if (frame === null) this.#acknowledge(packet, null)
    else if (frame.payload.length > this.#options.limits.maxPayloadBytes) this.#deny(packet.topic, 'too_large')
    else {
      const { channel, contentType, id, payload } = frame
      this.#takeUplink(packet, { channel, contentType, dedupId: id, payload })
    }
  }

  #takeUplink(packet: PublishPacket, fields: UplinkFields): void {
    const { connection, device, uplink } = this.#options
    this.#uplink ??= new UplinkClient(uplink, connection, device)
    const stored = this.#uplink.publish(packet, fields)
    if (stored !== 'repeated') this.#acknowledge(packet, stored)
  }

  #publish(packet: PublishPacket): void {
    const { connection, ordinary } = this.#options
    if (packet.qos === 2 && !ordinary.mayHold(packet.messageId)) {
      connection.violated('too_many_qos_2')
      return
    }
    try {
      this.#acknowledge(packet, ordinary.publish(packet))
    } catch {
      // Nothing was stored and nothing acknowledged: the client sends it again on its next connection.
      connection.close('overload')
    }
  }

  /** `stored` null: it is. Rejected: there is no acknowledgement, the connection ends. */
  #acknowledge({ qos, messageId }: PublishPacket, stored: Promise<void> | null): void {
    if (qos === 0) return
    const { connection } = this.#options
    this.#answers ??= new AnswerQueue({
      reply: (packet) => connection.reply(packet),
      unstored: () => connection.close('overload'),
      answered: () => connection.sessionIdle(),
    })
    this.#answers.add(qos === 1 ? encodePuback(messageId) : encodePubrec(messageId), stored)
  }

  /** [MQTT-3.3.5-2] */
  #deny(topic: string, denial: PublishDenial | TopicExcess): void {
    const { connection, counters, device, log } = this.#options
    counters.publishesDenied[denial]++
    log.info({ device, topic, denial }, 'publish denied')
    connection.close('publish_denied')
  }
}
