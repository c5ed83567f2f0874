// A device in stream mode, as the SDK is to behave: what it remembers, and what it makes of each frame. Plain data and functions
// over it; `rules` are the SDK's, and the simulation breaks them one at a time.

import type { Position } from '../../../core/model/message.js'
import { Violation } from './violation.js'

export interface SdkRules {
  /** What of the handled messages survives a crash, and for which epochs. */
  readonly record: 'per-epoch' | 'single' | 'volatile'
  readonly acks: 'after-record' | 'on-receipt'
  /** `taken_over` may be the work of a connection that the SDK itself gave up before it was greeted: then it reconnects. */
  readonly takenOver: 'unless-abandoned' | 'never'
  /** What moves the position beside handled messages and reset: gaps; or the welcome, whose gaps may be lost on the way. */
  readonly position: 'gaps' | 'welcome'
}

export const SDK_RULES: SdkRules = {
  record: 'per-epoch',
  acks: 'after-record',
  takenOver: 'unless-abandoned',
  position: 'gaps',
}

export interface SdkData {
  /** The last seq that this connection was told of; -1 before the welcome. */
  readonly expected: number
  /** The handler runs: [epoch, seq, mid]. It goes on when the connection ends. */
  readonly busy: readonly [string, number, number] | null
  /** Persistent: what the next hello says. */
  readonly position: Position | null
  /** Persistent: the highest handled seq of each epoch. */
  readonly record: ReadonlyArray<readonly [string, number]>
  /** Told never to come back. */
  readonly stopped: boolean
  /** Connections given up before they were greeted. */
  readonly abandoned: number
}

export const NEW_SDK: SdkData = {
  expected: -1,
  busy: null,
  position: null,
  record: [],
  stopped: false,
  abandoned: 0,
}

export const isRecorded = (sdk: SdkData, { epoch, seq }: Position): boolean =>
  sdk.record.some(([e, highest]) => e === epoch && seq <= highest)

function recorded(sdk: SdkData, { epoch, seq }: Position, rules: SdkRules): SdkData {
  const position = { epoch, seq }
  if (rules.record === 'single') return { ...sdk, record: [[epoch, seq]], position }
  const rest = sdk.record.filter(([e]) => e !== epoch)
  const before = sdk.record.find(([e]) => e === epoch)?.[1] ?? 0
  return { ...sdk, record: [...rest, [epoch, Math.max(seq, before)]], position }
}

/** Welcome and reset say where delivery begins. Only a reset moves the position; what was recorded is never lowered. */
export function welcomed(sdk: SdkData, position: Position, reset: boolean, rules: SdkRules): SdkData {
  const next = { ...sdk, expected: position.seq }
  if (rules.record !== 'single') return reset || rules.position === 'welcome' ? { ...next, position } : next
  // The draft: one pair, replaced when the server is ahead or says reset.
  const own = sdk.record[0]
  return reset || own === undefined || position.seq > own[1] ? recorded(next, position, rules) : next
}

/** Gaps take their turn among the messages: everything before this one is handled. They never take the position back. */
export function toldOfGap(sdk: SdkData, to: Position): SdkData {
  const position = sdk.position === null || to.seq > sdk.position.seq ? to : sdk.position
  return { ...sdk, expected: Math.max(sdk.expected, to.seq), position }
}

/** Checks the continuity of a data frame. */
export function checkPrev(sdk: SdkData, prev: number): void {
  if (sdk.expected !== prev) throw new Violation('I1', `prev is ${prev}, the SDK was last told of ${sdk.expected}`)
}

export const started = (sdk: SdkData, { epoch, seq }: Position, mid: number): SdkData => ({
  ...sdk,
  expected: seq,
  busy: [epoch, seq, mid],
})

/** A message that the record has: acknowledged again, not handled. */
export const repeated = (sdk: SdkData, position: Position): SdkData => ({ ...sdk, expected: position.seq, position })

/** The handler has resolved and that is recorded. */
export function finished(sdk: SdkData, rules: SdkRules): SdkData {
  if (sdk.busy === null) return sdk
  const [epoch, seq] = sdk.busy
  return recorded({ ...sdk, busy: null }, { epoch, seq }, rules)
}

/** The device's process dies. */
export function crashed(sdk: SdkData, rules: SdkRules): SdkData {
  const next = { ...sdk, busy: null }
  return rules.record === 'volatile' ? { ...next, record: [], position: null } : next
}

export const wiped = (sdk: SdkData): SdkData => ({ ...sdk, busy: null, record: [], position: null })

/** `bye taken_over`. */
export function takenOver(sdk: SdkData, rules: SdkRules): SdkData {
  if (sdk.abandoned > 0 && rules.takenOver === 'unless-abandoned') return { ...sdk, abandoned: sdk.abandoned - 1 }
  return { ...sdk, stopped: true }
}
