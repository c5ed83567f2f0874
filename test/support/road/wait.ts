/** Resolves after `ms`: for tests whose subject is time. */
export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** Waits until `condition` holds; rejects after `ms`, with what `describe` says. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 20_000,
  describe: () => string = () => '',
): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain for ${what}; ${describe()}`)
    await pause(10)
  }
}

/** CI_LONG=1: the full figures; else a short form of the same. */
export const LONG = process.env['CI_LONG'] === '1'
