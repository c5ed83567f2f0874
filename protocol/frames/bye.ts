import { CLOSE_CODES, type CloseCode } from '../codes.js'
import { FRAME_LIMITS } from './frame-limits.js'
import type { Fields } from './frame-reader.js'
import type { ByeFrame } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'

/** Longer than either word. */
const RECONNECT_BYTES = 64

export function readBye(fields: Fields): ByeFrame {
  const code = fields.at('code').string(1, FRAME_LIMITS.closeCodeBytes)
  const reader = fields.at('reconnect')
  const reconnect = reader.string(1, RECONNECT_BYTES)
  if (reconnect !== 'never' && reconnect !== 'after') throw reader.error('bad_value')
  const minMs = fields.at('minMs').integer(0, FRAME_LIMITS.waitMs)
  const last = fields.at('maxMs')
  const maxMs = last.integer(0, FRAME_LIMITS.waitMs)
  if (maxMs < minMs) throw last.error('bad_order')
  return { t: 'bye', code, reconnect, minMs, maxMs }
}

export function encodeBye(frame: Omit<ByeFrame, 't'>): Uint8Array {
  const writer = new FrameWriter(96)
  writer.map(5)
  writer.string('t')
  writer.string('bye')
  writer.string('code')
  writer.string(frame.code)
  writer.string('reconnect')
  writer.string(frame.reconnect)
  writer.string('minMs')
  writer.uint(frame.minMs)
  writer.string('maxMs')
  writer.uint(frame.maxMs)
  return writer.bytes()
}

/** The frame for a close code, with the advice that belongs to it. */
export function byeFrame(code: CloseCode): ByeFrame {
  const { reconnect, minMs, maxMs } = CLOSE_CODES[code]
  return { t: 'bye', code, reconnect, minMs, maxMs }
}
