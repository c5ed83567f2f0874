/** Time and randomness, passed in so that decisions can be tested. */
export interface Clock {
  /** Wall clock, integer milliseconds UTC. */
  now(): number
  /** Monotonic, milliseconds, for durations. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
