// Frames from the device to the server.

import { readAck } from './ack.js'
import { FrameReader } from './frame-reader.js'
import type { DeviceFrame } from './frame-types.js'
import { readType } from './frame-type-field.js'
import { readHello } from './hello.js'
import { readUplink } from './uplink.js'

/** Throws FrameError, and nothing else. The payload of an uplink shares the memory of `bytes`. */
export function decodeDeviceFrame(bytes: Uint8Array): DeviceFrame {
  const fields = new FrameReader(bytes).fields()
  const reader = fields.at('t')
  switch (readType(reader)) {
    case 'hello':
      return readHello(fields)
    case 'ack':
      return readAck(fields)
    case 'uplink':
      return readUplink(fields)
    default:
      throw reader.error('unknown_type')
  }
}
