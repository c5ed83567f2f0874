import type { DeviceParts } from './device-state.js'

/** A device of which nothing was known. */
export function newDevice(now: number, epoch: string, generation: string): DeviceParts {
  return {
    fields: {
      createdAt: now,
      usedAt: now,
      lastSeenAt: null,
      connectedAt: null,
      claim: null,
      subscription: null,
      epochs: [{ epoch, firstSeq: 1 }],
      generation,
      head: 0,
      headCumulative: 0,
      cursor: 0,
      cursorCumulative: 0,
      sent: 0,
      received: 0,
      maybeSent: 0,
      floor: 0,
      pending: 0,
      pendingBytes: 0,
      nextExpiry: 0,
      spilledUntil: 0,
      unknown: [],
    },
    exceptions: [],
    chunks: [],
    tail: [],
    dedups: [],
    notes: { receipts: [], offlineAt: 0, waiting: false, due: 0 },
  }
}
