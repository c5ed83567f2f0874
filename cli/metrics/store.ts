import { LmdbCounters, type LmdbUsage } from '../../core/metrics/lmdb-counters.js'
import {
  counter,
  counterBy,
  gauge,
  histogram,
  histogramBy,
  metricGroup,
  type MetricRow,
} from '../../core/metrics/metric-row.js'
import { BATCH_SIZES, WORK_SECONDS } from '../../core/metrics/histogram.js'
import {
  BATCHED_OPERATIONS,
  STORE_ERRORS,
  STORE_OPERATIONS,
  type StoreCounters,
} from '../../core/metrics/store-counters.js'
import { OutcomeCounters } from '../../core/model/outcome-counters.js'

const errors: MetricRow<StoreCounters> = {
  name: 'store_operation_errors_total',
  type: 'counter',
  labels: { operation: STORE_OPERATIONS, code: STORE_ERRORS },
  help: 'Calls of the store that failed as a whole',
  tells: '`store_unavailable`: nothing was done; `outcome_unknown`: it may have been; `other`: a defect',
  aggregate: 'sum',
  bounds: [],
  samples: ({ errors: found }) =>
    STORE_OPERATIONS.flatMap((operation) =>
      STORE_ERRORS.map((code) => [{ operation, code }, found[operation][code]] as const),
    ),
}

/** What callers see of the store, whichever it is. */
export const STORE = metricGroup<StoreCounters>('Store', null, [
  histogramBy(
    'store_operation_seconds',
    'operation',
    STORE_OPERATIONS,
    WORK_SECONDS,
    'Calls of the store, until their answer',
    'With `append` slow, pushes are; with `read`, devices that catch up; with `ack`, messages come twice more often; with `events_read` or `webhook_commit`, webhooks are late',
    ({ seconds }) => seconds,
  ),
  errors,
  histogramBy(
    'store_batch_items',
    'operation',
    BATCHED_OPERATIONS,
    BATCH_SIZES,
    'Messages, devices or events of one call; of `webhook_commit` those kept for a later attempt, and those that were kept',
    'Larger under load: what comes together goes together',
    ({ items }) => items,
  ),
])

const OUTCOMES_SHAPE = new OutcomeCounters()

/** How messages leave their inboxes. */
export const OUTCOMES = metricGroup<OutcomeCounters>('Messages that left their inbox', null, [
  counter(
    'messages_handled_total',
    'Messages that left their inbox because their device acknowledged them, counted where the store decided it',
    'Accepted, less handled, less undelivered: what waits',
    (o) => o.handled,
  ),
  counterBy(
    'messages_undelivered_total',
    'reason',
    Object.keys(OUTCOMES_SHAPE.undelivered),
    'Messages that will not be delivered, by the reason; found when the store looks at the device, as it does by itself: in Redis within 10 s, in a file 400 devices a second',
    '`retention`, `overflow`: devices were away too long, or got more than they can take; `expired`, `cancelled`, `collapsed`, `deleted`: as backends asked',
    (o) => o.undelivered,
  ),
  counterBy(
    'messages_taken_back_total',
    'reason',
    Object.keys(OUTCOMES_SHAPE.takenBack),
    'Undelivered messages that were on the wire, and were handled after all',
    'To be subtracted from `messages_undelivered_total`',
    (o) => o.takenBack,
  ),
])

interface Lmdb {
  readonly counters: LmdbCounters
  readonly usage: () => LmdbUsage
}

/** The embedded store. */
export const LMDB = metricGroup<Lmdb>('Embedded store', 'with a file store', [
  histogram(
    'lmdb_commit_seconds',
    WORK_SECONDS,
    'From the begin of a commit until it is as durable as `--durability` asks',
    'The disk. Every push waits for one',
    ({ counters: c }) => c.commitSeconds,
  ),
  histogram(
    'lmdb_commit_changes',
    BATCH_SIZES,
    'Journaled changes of one commit',
    'Larger under load: that is how throughput grows beyond the flushes of the disk',
    ({ counters: c }) => c.commitChanges,
  ),
  counter(
    'lmdb_commits_failed_total',
    'Commits that did not make it to the disk',
    'A full or broken disk; the log has the error',
    ({ counters: c }) => c.commitsFailed,
  ),
  gauge(
    'lmdb_journal_bytes',
    'Bytes of the journal: changes that are not in their own places yet',
    'Over 64 MiB for long: the disk cannot keep up. What a start replays',
    ({ usage }) => usage().journalBytes,
  ),
  gauge(
    'lmdb_devices_changed',
    'Devices with such changes',
    'The same by devices',
    ({ usage }) => usage().devicesChanged,
  ),
  gauge(
    'lmdb_file_bytes',
    'Size of the file',
    'It does not shrink; what is freed is used again',
    ({ usage }) => usage().fileBytes,
  ),
  gauge(
    'lmdb_disk_free_bytes',
    'Bytes that its file system has left',
    'Alert long before the reserve (5 %, 1 to 64 MiB) is reached: new messages are refused then',
    ({ usage }) => usage().diskFreeBytes,
    'min',
  ),
  gauge(
    'lmdb_refuses',
    '1 while new messages are refused: the disk is almost full, or could not be written',
    'Pushes are answered 503 `store_unavailable`; deliveries go on',
    ({ usage }) => (usage().refuses ? 1 : 0),
    'max',
  ),
])
