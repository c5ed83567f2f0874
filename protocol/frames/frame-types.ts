// The frames of stream mode, as values. `docs/wire.md` says what each is for and when it may be sent.
//
// Log names are data: they are keys of Maps, never names of properties. Times are integer milliseconds UTC.

/** The version of the protocol that this is. */
export const WIRE_VERSION = 1

/** A place in a log: everything up to `seq`, in the history named by `epoch`. */
export type WirePosition = readonly [epoch: string, seq: number]

/** Flags of a message, one bit each. Bits that are not listed are ignored. */
export const MESSAGE_FLAGS = {
  /** Acknowledge it at once. Never changes the order. */
  highPriority: 1,
  /** An earlier connection may have been sent it. */
  redelivered: 2,
} as const

/** Why seqs that the device was not sent will not come. */
export const GAP_REASONS = ['overflow', 'retention', 'handled-elsewhere'] as const
export type GapReason = (typeof GAP_REASONS)[number]

/** String pairs; keys are unique, and data. */
export type WireAttributes = ReadonlyArray<readonly [key: string, value: string]>

export interface WireMessage {
  readonly seq: number
  readonly at: number
  readonly expiresAt: number | null
  /** See MESSAGE_FLAGS. */
  readonly flags: number
  readonly dedupId: string | null
  readonly contentType: string | null
  readonly attributes: WireAttributes | null
  /** Decoded ones share the memory of the frame. */
  readonly payload: Uint8Array
}

// --- from the device

export interface HelloFrame {
  readonly t: 'hello'
  readonly v: typeof WIRE_VERSION
  /** Where to continue; a log that the device remembers nothing of is absent. */
  readonly cursors: ReadonlyMap<string, WirePosition>
  /** How many messages may be in flight. */
  readonly window: number
  /** Largest frame, in bytes, that holds more than one message. */
  readonly maxFrameBytes: number
  /** Name and version of the client, for logs and statistics. */
  readonly sdk: string
}

export interface AckFrame {
  readonly t: 'ack'
  /** Cumulative: everything up to the position that this connection was sent. */
  readonly acks: ReadonlyMap<string, WirePosition>
}

export interface UplinkFrame {
  readonly t: 'uplink'
  readonly channel: string
  /** Chosen by the device: the same id within 24 h is the same message. */
  readonly id: string
  readonly contentType: string | null
  readonly payload: Uint8Array
}

// --- from the server

export interface WelcomeLog {
  /** The epoch of the cursor. */
  readonly epoch: string
  /** Up to where everything is handled or an exception: what is sent next comes after it. */
  readonly cursor: number
  /** The last seq of the log. */
  readonly head: number
}

export interface WelcomeFrame {
  readonly t: 'welcome'
  readonly v: typeof WIRE_VERSION
  /** The server's clock. */
  readonly time: number
  readonly node: string
  /** A name for this connection, for logs. */
  readonly session: string
  readonly logs: ReadonlyMap<string, WelcomeLog>
}

export interface DataFrame {
  readonly t: 'data'
  readonly log: string
  /** Of all its messages. */
  readonly epoch: string
  /** The last seq of the log that this connection was told of before: by welcome, reset, a gap or data. */
  readonly prev: number
  /** At least one, in increasing seq, all after `prev`. */
  readonly messages: readonly WireMessage[]
}

export interface GapFrame {
  readonly t: 'gap'
  readonly log: string
  /** Makes `to` a position. */
  readonly epoch: string
  /** First and last seq that will not come. */
  readonly from: number
  readonly to: number
  readonly reason: GapReason
}

export interface ResetFrame extends WelcomeLog {
  readonly t: 'reset'
  readonly log: string
}

export interface ByeFrame {
  readonly t: 'bye'
  /** A close code; a newer server may have more of them, so the advice stands beside it. */
  readonly code: string
  readonly reconnect: 'never' | 'after'
  /** Wait a random time between the two, in milliseconds, before connecting again. */
  readonly minMs: number
  readonly maxMs: number
}

export type DeviceFrame = HelloFrame | AckFrame | UplinkFrame
export type ServerFrame = WelcomeFrame | DataFrame | GapFrame | ResetFrame | ByeFrame
export type Frame = DeviceFrame | ServerFrame
