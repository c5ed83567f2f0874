// How much slower the machine is for this process than if it had a core of its own: other programs run, too.

const SAMPLE_MS = 30
const EVERY_MS = 3_000

/** Wall-clock time for a time of work; 1: nobody else wants the core. */
function sample(): number {
  const from = performance.now()
  const usage = process.cpuUsage()
  let used = 0
  while (used < SAMPLE_MS * 1_000) {
    const { user, system } = process.cpuUsage(usage)
    used = user + system
  }
  return Math.max(1, ((performance.now() - from) * 1_000) / used)
}

/** Does the work, and says how slow the machine was meanwhile. */
export async function withSlowness<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly slowness: number }> {
  const samples = [sample()]
  const mean = (): number => samples.reduce((sum, each) => sum + each, 0) / samples.length
  const sampling = setInterval(() => samples.push(sample()), EVERY_MS)
  try {
    return { result: await work(), slowness: mean() }
  } finally {
    clearInterval(sampling)
  }
}
