import type { Clock } from './platform.js'

/** The machine's clock. Timers of more than 24 days, which JavaScript would run at once, are held to that. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, 0x7fff_ffff))
    return () => clearTimeout(timer)
  },
}
