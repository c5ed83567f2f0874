// The MQTT 3.1.1 packets that a client of stream mode meets. Nothing of QoS 2, wills or retained messages: the mailbox
// needs none of them.

/** Packet types, [MQTT-2.2.1]. */
export const PACKET = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  subscribe: 8,
  suback: 9,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
} as const

/** What the server may send. */
export type IncomingPacket =
  | { readonly type: 'connack'; readonly sessionPresent: boolean; readonly code: number }
  | {
      readonly type: 'publish'
      readonly topic: string
      /** QoS 0 has no id. */
      readonly packetId: number | null
      readonly dup: boolean
      /** Shares the memory of the bytes that came in. */
      readonly payload: Uint8Array
    }
  | { readonly type: 'puback'; readonly packetId: number }
  | { readonly type: 'suback'; readonly packetId: number; readonly codes: readonly number[] }
  | { readonly type: 'pingresp' }

/** Bytes of the longest string or binary field, [MQTT-1.5.3]. */
export const FIELD_MAX = 0xffff

/** Largest remaining length that four bytes can say, [MQTT-2.2.3]. */
export const REMAINING_MAX = 268_435_455
