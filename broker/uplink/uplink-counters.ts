/** Why an uplink was not stored, or not acknowledged: what came too late may be stored after all. */
export type UplinkRefusal =
  /** `--uplink-max` is reached. */
  | 'full'
  /** The device has its share of it: `--uplink-max-per-device`. */
  | 'device_full'
  /** The device's id of it stands for another one. */
  | 'dedup_conflict'
  | 'store_unavailable'
  /** The store cannot tell whether it stored it. */
  | 'outcome_unknown'
  /** The store did not answer in time. */
  | 'timeout'
  /** One before it was refused, so that it must come again after that one. */
  | 'behind_refused'

/** Uplink in numbers; part of the broker's. */
export class UplinkCounters {
  /** Stored, those that are there already included, and the bytes of their payloads. */
  stored = 0
  storedBytes = 0
  /** Of those, answered as stored before. */
  duplicates = 0
  /** Of those, last wills. */
  wills = 0
  /** Came again with DUP while the first one waited to be stored: one uplink. */
  repeated = 0

  readonly refused: Record<UplinkRefusal, number> = {
    full: 0,
    device_full: 0,
    dedup_conflict: 0,
    store_unavailable: 0,
    outcome_unknown: 0,
    timeout: 0,
    behind_refused: 0,
  }
}
