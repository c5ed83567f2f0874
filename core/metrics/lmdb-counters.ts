import { BATCH_SIZES, Histogram, WORK_SECONDS } from './histogram.js'
import { OutcomeCounters } from '../model/outcome-counters.js'

/** Plain numbers, incremented in place. */
export class LmdbCounters {
  readonly outcomes = new OutcomeCounters()
  /** Transactions that did not make it to the disk. */
  commitsFailed = 0
  /** From the begin of a commit until it is as durable as asked for. */
  readonly commitSeconds = new Histogram(WORK_SECONDS)
  /** Journaled changes of one commit. */
  readonly commitChanges = new Histogram(BATCH_SIZES)
}

/** What is there now. */
export interface LmdbUsage {
  /** Bytes of the journal: changes that are not yet in their own places. */
  readonly journalBytes: number
  /** Devices with such changes. */
  readonly devicesChanged: number
  /** Bytes of the file. */
  readonly fileBytes: number
  /** Bytes that the file system has left for it. */
  readonly diskFreeBytes: number
  /** New messages are refused, because the disk is almost full or could not be written. */
  readonly refuses: boolean
}
