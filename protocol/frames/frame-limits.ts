import { UPLINK_CHANNEL_MAX_BYTES } from '../topics.js'

/**
 * Bounds of what stands in frames, the same for both sides; lengths in bytes of UTF-8. They keep a decoder from working for
 * nothing. What a server grants (window, payload) is another and smaller thing.
 */
export const FRAME_LIMITS = {
  /** Keys of a frame, unknown ones included. */
  keys: 64,
  /** Bytes of a key of a frame. */
  keyBytes: 64,
  /** Nesting, the frame itself included; unknown values are held to it too. */
  depth: 16,
  /** Logs in one hello, welcome or ack. */
  logs: 1_024,
  logNameBytes: 256,
  epochBytes: 32,
  /** Messages of one data frame. */
  messages: 65_535,
  dedupIdBytes: 1_024,
  contentTypeBytes: 255,
  attributes: 64,
  attributeKeyBytes: 512,
  attributeValueBytes: 4_096,
  sdkBytes: 128,
  nodeBytes: 256,
  sessionBytes: 64,
  channelBytes: UPLINK_CHANNEL_MAX_BYTES,
  uplinkIdBytes: 256,
  closeCodeBytes: 64,
  /** Messages in flight that a device may ask for; the server grants at most `--window-max` of them. */
  window: 1_000_000,
  /** The smallest `maxFrameBytes` that a device may ask for, and the largest. */
  minFrameBytes: 16 * 1024,
  maxFrameBytes: 1024 * 1024 * 1024,
  /** Milliseconds in a bye: a day. */
  waitMs: 86_400_000,
} as const
