// One connection's side of uplink: puts its PUBLISH packets on its lane. Made when a connection sends its first one.

import type { CloseReason } from '../counters.js'
import type { PublishPacket } from '../packets.js'
import type { UplinkRefusal } from './uplink-counters.js'
import type { UplinkLane, UplinkLaneOwner } from './uplink-lane.js'
import type { UplinkWriter } from './uplink-writer.js'

/** What is needed of the connection. */
export interface UplinkConnection {
  close(reason: CloseReason): void
  /** `UplinkClient.full` may have become false. */
  sessionIdle(): void
  /** Nothing is read for a while, which is not the device's silence. */
  waits(): void
}

/** What a device says of an uplink. */
export interface UplinkFields {
  readonly channel: string
  readonly contentType: string | null
  /** The device's own id of it; null: it has none. */
  readonly dedupId: string | null
  readonly payload: Uint8Array
}

export class UplinkClient implements UplinkLaneOwner {
  readonly #writer: UplinkWriter
  readonly #connection: UplinkConnection
  readonly #lane: UplinkLane

  constructor(writer: UplinkWriter, connection: UplinkConnection, device: string) {
    this.#writer = writer
    this.#connection = connection
    this.#lane = writer.open(device, this)
  }

  /** So much waits for the store that nothing more should be read. */
  get full(): boolean {
    return this.#lane.full
  }

  /**
   * A PUBLISH with QoS 0 or 1 to a channel of the device's own, or one that holds an uplink frame. The promise resolves when it
   * is stored; it rejects when it is not, and the connection is being closed then. Null: QoS 0. `repeated`: sent again before
   * its PUBACK, so it is not another publication, and must not have a PUBACK of its own, which could be taken for that of the
   * next packet with this id. After the PUBACK it is a new publication, DUP or not [MQTT-4.3.2-2].
   */
  publish({ qos, messageId, dup }: PublishPacket, fields: UplinkFields): Promise<void> | null | 'repeated' {
    const { channel, contentType, dedupId, payload } = fields
    const uplink = { device: this.#lane.device, channel, contentType, will: false, dedupId, payload }
    if (qos === 0) {
      this.#lane.offer(uplink)
      return null
    }
    if (dup && this.#lane.holds(uplink, messageId)) {
      this.#writer.counters.repeated++
      return 'repeated'
    }
    return this.#lane.store(uplink, messageId)
  }

  // --- from the lane

  uplinkRefused(reason: UplinkRefusal): void {
    // With another body under an id of its own the device would send it for ever.
    this.#connection.close(reason === 'dedup_conflict' ? 'protocol_error' : 'uplink_refused')
  }

  uplinkOpen(): void {
    this.#connection.sessionIdle()
  }

  uplinkWaits(): void {
    this.#connection.waits()
  }
}
