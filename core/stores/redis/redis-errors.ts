import type { CommandFailure } from '../../metrics/redis-counters.js'
import { OutcomeUnknown, PostriderError, StoreUnavailable } from '../../errors.js'

/** Codes of answers that mean: Redis has not begun with the command. */
const REFUSALS = new Set([
  'OOM',
  'MISCONF',
  'NOREPLICAS',
  'READONLY',
  'LOADING',
  'MASTERDOWN',
  'CLUSTERDOWN',
  'TRYAGAIN',
  'MOVED',
  'ASK',
  'BUSY',
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
  'STALE',
  'NEWERFORMAT',
])

/** What ioredis says of a command that it never sent. */
const NOT_SENT = /^(?:Stream isn't writeable|Cluster isn't ready|Cluster is ended|Failed to refresh slots cache)/

export const codeOf = (error: unknown): string => (error instanceof Error ? (error.message.split(' ', 1)[0] ?? '') : '')

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What to count a failed command as; null: it was answered, and asks for another step (NOSCRIPT, STALE). */
export function failureOf(error: unknown): CommandFailure | null {
  const code = codeOf(error)
  if (code === 'NOSCRIPT' || code === 'STALE') return null
  if (REFUSALS.has(code)) return 'refused'
  return NOT_SENT.test(messageOf(error)) ? 'not_sent' : 'unanswered'
}

/** What a failed command means to who asked for the change: nothing was done, or it may have been. */
export function explainFailure(error: unknown): PostriderError {
  if (error instanceof PostriderError) return error
  const code = codeOf(error)
  if (REFUSALS.has(code)) return new StoreUnavailable(`Redis refuses: ${code}`, { cause: error })
  if (NOT_SENT.test(messageOf(error))) return new StoreUnavailable('Redis cannot be reached', { cause: error })
  return new OutcomeUnknown('Redis did not answer', { cause: error })
}

/** The same for a question: there is nothing that could have been done. */
export function explainUnanswered(error: unknown): PostriderError {
  const failure = explainFailure(error)
  return failure instanceof OutcomeUnknown ? new StoreUnavailable(failure.message, { cause: failure.cause }) : failure
}
