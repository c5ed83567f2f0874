/** What the store itself records, in the step of the change that it tells of. */
export const LOGGED_EVENT_TYPES = [
  'device.offline_with_pending',
  'message.handled',
  'message.expired',
  'message.overflow',
] as const
export type LoggedEventType = (typeof LOGGED_EVENT_TYPES)[number]

/** All events that a backend can ask for. `uplink` is not recorded again: the log of uplink is where it comes from. */
export const EVENT_TYPES = [...LOGGED_EVENT_TYPES, 'uplink'] as const
export type EventType = (typeof EVENT_TYPES)[number]

/**
 * Something that became of a device or of its messages. It names messages, by epoch and seq, and holds nothing of them.
 * Times are integer milliseconds UTC by the store's clock.
 */
export interface NewEvent {
  readonly type: LoggedEventType
  readonly device: string
  readonly at: number
  /** Of the message at `seq`. */
  readonly epoch: string
  /** The message; of several the first. */
  readonly seq: number
  /** How many: of `device.offline_with_pending` all that wait; of the others seq … seq + count − 1, mostly one. */
  readonly count: number
  /** Of `message.expired`: its own ttl, or the retention of the server; else null. */
  readonly reason: 'expired' | 'retention' | null
}

/**
 * The forms in which an event is stored: a number for each type and reason. Never changed, only added to. 0 is not used.
 */
const CODES = [
  null,
  { type: 'device.offline_with_pending', reason: null },
  { type: 'message.handled', reason: null },
  { type: 'message.expired', reason: 'expired' },
  { type: 'message.expired', reason: 'retention' },
  { type: 'message.overflow', reason: null },
] as const satisfies ReadonlyArray<Pick<NewEvent, 'type' | 'reason'> | null>

export function eventCode({ type, reason }: Pick<NewEvent, 'type' | 'reason'>): number {
  const code = CODES.findIndex((known) => known !== null && known.type === type && known.reason === reason)
  if (code < 0) throw new RangeError(`an event ${type} has no reason ${reason ?? 'none'}`)
  return code
}

/** Throws RangeError: a newer version wrote it, or it is damaged. */
export function eventOfCode(code: number): Pick<NewEvent, 'type' | 'reason'> {
  const known = CODES[code]
  if (known === undefined || known === null) throw new RangeError(`an event has the unknown code ${code}`)
  return known
}
