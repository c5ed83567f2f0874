// What is told of a device (core/ports/event-log.ts): which of its messages asked for it, and the events that its present change makes.
// They are written with the change, into the device's own document, and brought to the log from there (event-relay.ts).

import type { ExceptionReason } from '../../../protocol/codes.js'
import { epochAt, type EpochStart } from '../../model/epochs.js'
import type { NewEvent } from '../../model/event.js'
import { VarintReader, VarintWriter } from './varints.js'

export interface KeptNotes {
  /** Seqs of messages with a receipt behind the cursor, rising. */
  readonly receipts: readonly number[]
  /** When it was told that nobody is there to take what waits; 0: not since the last claim. */
  readonly offlineAt: number
  /** Events of earlier changes are in the document. */
  readonly waiting: boolean
  /** When somebody looks whether time does something to it; 0: never. See due.ts. */
  readonly due: number
}

export class DeviceNotes {
  receipts: number[]
  offlineAt: number
  readonly waiting: boolean
  due: number
  /** Of the present change, in order. */
  readonly told: NewEvent[] = []
  readonly #device: string

  constructor(device: string, kept: KeptNotes) {
    this.#device = device
    this.receipts = [...kept.receipts]
    this.offlineAt = kept.offlineAt
    this.waiting = kept.waiting
    this.due = kept.due
  }

  /** The receipts up to `seq`, which leave. */
  passed(seq: number): readonly number[] {
    if (this.receipts.length === 0) return this.receipts
    const kept = this.receipts.findIndex((each) => each > seq)
    const passed = kept === -1 ? this.receipts : this.receipts.slice(0, kept)
    this.receipts = kept === -1 ? [] : this.receipts.slice(kept)
    return passed
  }

  tellHandled(epochs: readonly EpochStart[], seq: number, at: number): void {
    this.#tell('message.handled', epochs, seq, at)
  }

  tellException(epochs: readonly EpochStart[], seq: number, reason: ExceptionReason, at: number): void {
    if (reason === 'expired' || reason === 'retention') this.#tell('message.expired', epochs, seq, at, 1, reason)
    else if (reason === 'overflow') this.#tell('message.overflow', epochs, seq, at)
  }

  tellOffline(epochs: readonly EpochStart[], seq: number, count: number, at: number): void {
    if (this.offlineAt !== 0) return
    this.offlineAt = at
    this.#tell('device.offline_with_pending', epochs, seq, at, count)
  }

  #tell(
    type: NewEvent['type'],
    epochs: readonly EpochStart[],
    seq: number,
    at: number,
    count = 1,
    reason: NewEvent['reason'] = null,
  ): void {
    this.told.push({ type, device: this.#device, at, epoch: epochAt(epochs, seq), seq, count, reason })
  }
}

/** Each as the step from the one before. */
export function packSeqs(seqs: readonly number[]): Buffer {
  const out = new VarintWriter()
  let before = 0
  for (const seq of seqs) {
    out.put(seq - before)
    before = seq
  }
  return out.done()
}

export function unpackSeqs(bytes: Uint8Array): readonly number[] {
  const reader = new VarintReader(bytes)
  const seqs: number[] = []
  let at = 0
  while (!reader.ended) seqs.push((at += reader.take()))
  return seqs
}
