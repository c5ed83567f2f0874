import type { Logger } from '../../core/log.js'

/** After a failed reading it is tried again after so long, doubling up to the maximum. Milliseconds. */
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000

export interface ReloadSteps {
  /** Forgets what was read before. */
  readonly forget: () => void
  /** Resolves when no write is under way. */
  readonly settled: () => Promise<void>
  readonly read: () => Promise<void>
  readonly signal: AbortSignal
  readonly log: Logger
}

/** Makes memory anew from the store, however often that takes. False: given up because of the signal. Never rejects. */
export async function reload({ forget, settled, read, signal, log }: ReloadSteps): Promise<boolean> {
  for (let delay = RETRY_MIN_MS; ; delay = Math.min(RETRY_MAX_MS, delay * 2)) {
    forget()
    await settled()
    if (signal.aborted) return false
    try {
      await read()
      return true
    } catch (err) {
      log.error({ err }, 'the sessions could not be read')
      await pause(delay, signal)
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}
