import { EXCEPTION_REASONS, type ExceptionReason } from '../../protocol/codes.js'

/** Why a message will not be delivered; `deleted`: with its device. */
export const UNDELIVERED_REASONS = [...EXCEPTION_REASONS, 'deleted'] as const
export type UndeliveredReason = (typeof UNDELIVERED_REASONS)[number]

/**
 * How messages left their inboxes, as the store decided it, by calls of this process. Counted when it is decided: a change that
 * then could not be stored, and was decided again, counts twice.
 */
export class OutcomeCounters {
  /** The device acknowledged them. */
  handled = 0
  readonly undelivered: Record<UndeliveredReason, number> = {
    expired: 0,
    cancelled: 0,
    collapsed: 0,
    overflow: 0,
    retention: 0,
    deleted: 0,
  }
  /** Those of them that were on the wire, and were handled after all. */
  readonly takenBack: Record<ExceptionReason, number> = {
    expired: 0,
    cancelled: 0,
    collapsed: 0,
    overflow: 0,
    retention: 0,
  }
}
