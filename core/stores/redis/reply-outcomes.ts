// What a script tells beside its answer: how messages left their inbox. lua/lib/outcomes.lua has the order of the numbers.

import type { OutcomeCounters } from '../../model/outcome-counters.js'

/** No answer of a script begins with it. */
export const OUTCOMES_MARK = 'OUTCOMES'

const REASONS = ['expired', 'cancelled', 'collapsed', 'overflow', 'retention'] as const
const FIRST_UNDELIVERED = 2
const FIRST_TAKEN_BACK = 8
/** The mark and the numbers. */
const ANSWER_AT = 13

/** The script's answer; what was told beside it is counted. */
export function answerOf(reply: unknown, outcomes: OutcomeCounters): unknown {
  if (!Array.isArray(reply) || !isMark(reply[0])) return reply
  const numberAt = (at: number): number => Number(reply[at] ?? 0)
  outcomes.handled += numberAt(1)
  REASONS.forEach((reason, i) => {
    outcomes.undelivered[reason] += numberAt(FIRST_UNDELIVERED + i)
    outcomes.takenBack[reason] += numberAt(FIRST_TAKEN_BACK + i)
  })
  outcomes.undelivered.deleted += numberAt(FIRST_UNDELIVERED + REASONS.length)
  const answer: unknown = reply[ANSWER_AT]
  return answer ?? null
}

function isMark(value: unknown): boolean {
  return Buffer.isBuffer(value) && value.length === OUTCOMES_MARK.length && value.toString('latin1') === OUTCOMES_MARK
}
