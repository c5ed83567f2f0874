import type { InboxState, LogReader } from './inbox-state.js'
import { readEntry, readEntryHeader } from './message-codec.js'
import { messageKey, type Tables } from './tables.js'

/** Reads messages that are on disk. */
export function createLogReader(tables: Tables): LogReader {
  return {
    header(state: InboxState, seq: number) {
      const value = tables.messages.getBinaryFast(messageKey(state.number, seq))
      return value === undefined ? null : readEntryHeader(asBuffer(value))
    },
    entry(state: InboxState, seq: number) {
      const value = tables.messages.get(messageKey(state.number, seq))
      return value === undefined ? null : readEntry(seq, asBuffer(value))
    },
  }
}

/** The database answers values over 16 MiB as plain arrays. */
function asBuffer(value: Uint8Array): Buffer {
  return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}
