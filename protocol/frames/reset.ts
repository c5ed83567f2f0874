import type { Fields } from './frame-reader.js'
import type { ResetFrame } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readEpoch, readLogName, readSeq } from './position.js'

export function readReset(fields: Fields): ResetFrame {
  const log = readLogName(fields.at('log'))
  const epoch = readEpoch(fields.at('epoch'))
  const cursor = readSeq(fields.at('cursor'), 0)
  const reader = fields.at('head')
  const head = readSeq(reader, 0)
  if (head < cursor) throw reader.error('bad_order')
  return { t: 'reset', log, epoch, cursor, head }
}

export function encodeReset(frame: Omit<ResetFrame, 't'>): Uint8Array {
  const writer = new FrameWriter()
  writer.map(5)
  writer.string('t')
  writer.string('reset')
  writer.string('log')
  writer.string(frame.log)
  writer.string('epoch')
  writer.string(frame.epoch)
  writer.string('cursor')
  writer.uint(frame.cursor)
  writer.string('head')
  writer.uint(frame.head)
  return writer.bytes()
}
