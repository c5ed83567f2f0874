import {
  MongoBulkWriteError,
  MongoCompatibilityError,
  MongoError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
} from 'mongodb'
import { OutcomeUnknown, PostriderError, StoreUnavailable } from '../../errors.js'

export const DUPLICATE_KEY = 11000

/** Codes of answers that mean: the server has not begun with the command, or has undone it. */
const REFUSALS = new Set([
  13, // Unauthorized
  18, // AuthenticationFailed
  40, // ConflictingUpdateOperators
  91, // ShutdownInProgress
  10107, // NotWritablePrimary
  13435, // NotPrimaryNoSecondaryOk
  14031, // OutOfDiskSpace
  17280, // KeyTooLong
])

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const isDuplicateKey = (error: unknown): boolean =>
  error instanceof MongoServerError && error.code === DUPLICATE_KEY

/** What went wrong with single documents of a bulk write; null: it is another kind of failure. */
export function writeErrorsOf(error: unknown): ReadonlyArray<{ readonly index: number; readonly code: number }> | null {
  if (!(error instanceof MongoBulkWriteError) || error.result.getWriteConcernError() !== undefined) return null
  const errors = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors]
  return errors.map(({ index, code }) => ({ index, code }))
}

/** It is the database's, or the way there: what works in the background tries again. */
export const isAway = (error: unknown): boolean => error instanceof PostriderError || error instanceof MongoError

/** It failed before anything was sent. */
function isNotSent(error: unknown): boolean {
  if (error instanceof MongoServerSelectionError || error instanceof MongoCompatibilityError) return true
  if (!(error instanceof MongoError)) return false
  // What waits for a connection has not been sent; a new connection that fails has not carried it either.
  return (
    error.name === 'MongoWaitQueueTimeoutError' ||
    error.name === 'MongoPoolClearedError' ||
    error.name === 'MongoPoolClosedError' ||
    error.name === 'MongoNotConnectedError' ||
    error.name === 'MongoTopologyClosedError' ||
    (error instanceof MongoNetworkError && /connect ECONNREFUSED|ENOTFOUND/.test(error.message))
  )
}

/** What a failed command means to who asked for the change: nothing was done, or it may have been. */
export function explainFailure(error: unknown): PostriderError {
  if (error instanceof PostriderError) return error
  if (isNotSent(error)) return new StoreUnavailable('MongoDB cannot be reached', { cause: error })
  if (error instanceof MongoServerError && typeof error.code === 'number' && REFUSALS.has(error.code)) {
    return new StoreUnavailable(`MongoDB refuses: ${error.codeName ?? error.code}`, { cause: error })
  }
  return new OutcomeUnknown('MongoDB did not answer as it should', { cause: error })
}

/** The same for a question: there is nothing that could have been done. */
export function explainUnanswered(error: unknown): PostriderError {
  const failure = explainFailure(error)
  return failure instanceof OutcomeUnknown ? new StoreUnavailable(failure.message, { cause: failure.cause }) : failure
}
