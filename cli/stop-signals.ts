import { constants } from 'node:os'
import type { Clock } from '../core/clock.js'

export type StopSignal = 'SIGINT' | 'SIGTERM'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * One Ctrl-C may arrive twice: from the terminal, and handed on by npm or another parent. What comes so soon after the
 * first is the same wish.
 */
export const SAME_WISH_MS = 500

/**
 * SIGINT and SIGTERM ask for a stop in good order; another one later shortens it, and when `onAgain` says that there is nothing
 * to shorten ends the process at once, with the exit code that shells give (128 + number). `dispose` gives the signals their
 * usual meaning back.
 */
export function listenForStop(
  clock: Pick<Clock, 'monotonic'>,
  onStop: (signal: StopSignal) => void,
  onAgain: (signal: StopSignal) => boolean = () => false,
): { dispose(): void } {
  let asked: number | null = null
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      const now = clock.monotonic()
      if (asked === null) {
        asked = now
        onStop(signal)
      } else if (now - asked > SAME_WISH_MS) {
        if (!onAgain(signal)) process.exit(128 + constants.signals[signal])
        asked = now
      }
    }
    process.on(signal, listener)
    return { signal, listener }
  })
  return {
    dispose() {
      for (const { signal, listener } of listeners) process.removeListener(signal, listener)
    },
  }
}
