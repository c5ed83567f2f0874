import { OutcomeUnknown, StartupError, StoreUnavailable } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'

const TRIES = 5
const PAUSE_MS = 500

/**
 * Starts something that asks the store, which may have a bad moment just then, or this process: a machine that starts many at
 * once gives each so little time that an answer is read too late. Rejects with StartupError when it stays so.
 */
export async function tryAgain<T>(what: string, start: () => Promise<T>, pauseMs = PAUSE_MS): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await start()
    } catch (cause) {
      if (!(cause instanceof StoreUnavailable || cause instanceof OutcomeUnknown)) throw cause
      if (tries === TRIES) {
        const message = `${what}: ${cause.message}`
        throw new StartupError(message, { cause, exitCode: EXIT.unavailable.code })
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}
