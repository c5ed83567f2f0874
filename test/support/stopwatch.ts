// Time for assertions of the kind "within a second", on a machine that also does other things: what passes while this process is
// ready to run and is not let run does not count. Its own work does, so that a loop that blocks it is seen.

import type { Test } from 'tap'

const EVERY_MS = 20

/** Starts now. Each call answers the milliseconds since then, less those that the machine took away. */
export function stopwatch(t: Test): () => number {
  const from = performance.now()
  let looked = from
  let used = process.cpuUsage()
  let lost = 0
  const look = (): void => {
    const now = performance.now()
    const { user, system } = process.cpuUsage(used)
    const late = now - looked - EVERY_MS - (user + system) / 1_000
    if (late > EVERY_MS) lost += late // less than that is how exact timers are
    looked = now
    used = process.cpuUsage()
  }
  const timer = setInterval(look, EVERY_MS)
  timer.unref()
  t.teardown(() => clearInterval(timer))
  return () => {
    look()
    return performance.now() - from - lost
  }
}
