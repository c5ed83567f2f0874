import { FRAME_LIMITS } from './frame-limits.js'
import type { Fields, FrameReader } from './frame-reader.js'
import { WIRE_VERSION, type WelcomeFrame, type WelcomeLog } from './frame-types.js'
import { FrameWriter } from './frame-writer.js'
import { readVersion } from './hello.js'
import { readEpoch, readLogs, readSeq } from './position.js'

export function readWelcome(fields: Fields): WelcomeFrame {
  readVersion(fields)
  return {
    t: 'welcome',
    v: WIRE_VERSION,
    time: fields.at('time').integer(0, Number.MAX_SAFE_INTEGER),
    node: fields.at('node').string(0, FRAME_LIMITS.nodeBytes),
    session: fields.at('session').string(0, FRAME_LIMITS.sessionBytes),
    logs: readLogs(fields.at('logs'), 0, readWelcomeLog),
  }
}

function readWelcomeLog(reader: FrameReader): WelcomeLog {
  const more = reader.tupleHeader(3)
  reader.atElement(0)
  const epoch = readEpoch(reader)
  reader.atElement(1)
  const cursor = readSeq(reader, 0)
  reader.atElement(2)
  const head = readSeq(reader, 0)
  if (head < cursor) throw reader.error('bad_order')
  for (let i = 0; i < more; i++) reader.skip()
  return { epoch, cursor, head }
}

export function encodeWelcome(frame: Omit<WelcomeFrame, 't' | 'v'>): Uint8Array {
  const writer = new FrameWriter()
  writer.map(6)
  writer.string('t')
  writer.string('welcome')
  writer.string('v')
  writer.uint(WIRE_VERSION)
  writer.string('time')
  writer.uint(frame.time)
  writer.string('node')
  writer.string(frame.node)
  writer.string('session')
  writer.string(frame.session)
  writer.string('logs')
  writer.map(frame.logs.size)
  for (const [log, { epoch, cursor, head }] of frame.logs) {
    writer.string(log)
    writer.array(3)
    writer.string(epoch)
    writer.uint(cursor)
    writer.uint(head)
  }
  return writer.bytes()
}
