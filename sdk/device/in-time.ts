import type { Clock } from './platform.js'

/** What `work` gives. Rejects with the error of `late` when that takes longer than `ms`; what comes then is nobody's. */
export async function inTime<T>(work: Promise<T>, ms: number, clock: Clock, late: () => Error): Promise<T> {
  let cancel = (): void => undefined
  const limit = new Promise<never>((_resolve, reject) => {
    cancel = clock.after(ms, () => reject(late()))
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    cancel()
  }
}
