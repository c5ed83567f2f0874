// Frames from the server to the device.

import { readBye } from './bye.js'
import { readData } from './data.js'
import { FrameReader } from './frame-reader.js'
import type { ServerFrame } from './frame-types.js'
import { readType } from './frame-type-field.js'
import { readGap } from './gap.js'
import { readReset } from './reset.js'
import { readWelcome } from './welcome.js'

/** Throws FrameError, and nothing else. Payloads share the memory of `bytes`. */
export function decodeServerFrame(bytes: Uint8Array): ServerFrame {
  const fields = new FrameReader(bytes).fields()
  const reader = fields.at('t')
  switch (readType(reader)) {
    case 'welcome':
      return readWelcome(fields)
    case 'data':
      return readData(fields)
    case 'gap':
      return readGap(fields)
    case 'reset':
      return readReset(fields)
    case 'bye':
      return readBye(fields)
    default:
      throw reader.error('unknown_type')
  }
}
