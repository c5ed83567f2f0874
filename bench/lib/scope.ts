// What a scenario started must end, whatever happens: processes and folders are registered here at the moment they exist,
// and ended in reverse order at the end, at a failure, and at SIGINT or SIGTERM.

export type Cleanup = () => Promise<void> | void

export class Scope {
  readonly #cleanups: Cleanup[] = []
  #closing: Promise<void> | null = null

  /** Throws when the scope is closed already (the user stopped the run); then `cleanup` runs at once. */
  defer(cleanup: Cleanup): void {
    if (this.#closing === null) {
      this.#cleanups.push(cleanup)
      return
    }
    Promise.resolve(cleanup()).catch((error: unknown) => console.error(error))
    throw new Error('the run was stopped')
  }

  /** Runs every cleanup, also when one fails; then throws what failed. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#run()
    return this.#closing
  }

  async #run(): Promise<void> {
    const errors: unknown[] = []
    for (let cleanup = this.#cleanups.pop(); cleanup !== undefined; cleanup = this.#cleanups.pop()) {
      try {
        await cleanup()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'could not clean up')
  }
}

/** Runs `body` in a scope of its own inside `outer`, so that a round ends its processes before the next one starts. */
export async function within<T>(outer: Scope, body: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = new Scope()
  outer.defer(() => scope.close())
  try {
    return await body(scope)
  } finally {
    await scope.close()
  }
}
