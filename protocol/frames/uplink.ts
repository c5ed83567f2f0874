import { isUplinkChannel } from '../topics.js'
import { utf8Length } from '../utf8-length.js'
import { FrameError } from './frame-error.js'
import { FRAME_LIMITS } from './frame-limits.js'
import type { Fields } from './frame-reader.js'
import type { UplinkFrame } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'

export function readUplink(fields: Fields): UplinkFrame {
  const reader = fields.at('channel')
  const channel = reader.string(1, FRAME_LIMITS.channelBytes)
  if (!isUplinkChannel(channel)) throw reader.error('bad_value')
  const id = fields.at('id').string(1, FRAME_LIMITS.uplinkIdBytes)
  const type = fields.at('contentType')
  const contentType = type.nil() ? null : type.string(1, FRAME_LIMITS.contentTypeBytes)
  return { t: 'uplink', channel, id, contentType, payload: fields.at('payload').binary(Number.MAX_SAFE_INTEGER) }
}

/** Throws FrameError for what the server would refuse; it may also refuse a payload over its own limit. */
export function encodeUplink(frame: Omit<UplinkFrame, 't'>): Uint8Array {
  const { channel, id, contentType, payload } = frame
  const outside = (text: string, max: number): boolean => text === '' || utf8Length(text) > max
  if (outside(channel, FRAME_LIMITS.channelBytes)) throw new FrameError('out_of_range', 'channel')
  if (!isUplinkChannel(channel)) throw new FrameError('bad_value', 'channel')
  if (outside(id, FRAME_LIMITS.uplinkIdBytes)) throw new FrameError('out_of_range', 'id')
  if (contentType !== null && outside(contentType, FRAME_LIMITS.contentTypeBytes)) {
    throw new FrameError('out_of_range', 'contentType')
  }
  const writer = new FrameWriter(payload.length + 256)
  writer.map(5)
  writer.string('t')
  writer.string('uplink')
  writer.string('channel')
  writer.string(channel)
  writer.string('id')
  writer.string(id)
  writer.string('contentType')
  if (contentType === null) writer.nil()
  else writer.string(contentType)
  writer.string('payload')
  writer.binary(payload)
  return writer.bytes()
}
