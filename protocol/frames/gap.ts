import type { Fields } from './frame-reader.js'
import { GAP_REASONS, type GapFrame } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readEpoch, readLogName, readSeq } from './position.js'

/** Longer than any reason. */
const REASON_BYTES = 64

export function readGap(fields: Fields): GapFrame {
  const log = readLogName(fields.at('log'))
  const epoch = readEpoch(fields.at('epoch'))
  const from = readSeq(fields.at('from'), 1)
  const last = fields.at('to')
  const to = readSeq(last, 1)
  if (to < from) throw last.error('bad_order')
  const reader = fields.at('reason')
  const text = reader.string(1, REASON_BYTES)
  const reason = GAP_REASONS.find((each) => each === text)
  if (reason === undefined) throw reader.error('bad_value')
  return { t: 'gap', log, epoch, from, to, reason }
}

export function encodeGap(frame: Omit<GapFrame, 't'>): Uint8Array {
  const writer = new FrameWriter()
  writer.map(6)
  writer.string('t')
  writer.string('gap')
  writer.string('log')
  writer.string(frame.log)
  writer.string('epoch')
  writer.string(frame.epoch)
  writer.string('from')
  writer.uint(frame.from)
  writer.string('to')
  writer.uint(frame.to)
  writer.string('reason')
  writer.string(frame.reason)
  return writer.bytes()
}
