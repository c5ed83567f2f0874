type Done = (error?: Error) => void

/**
 * Aedes' emitter, carrying nothing. Aedes publishes a `$SYS` message for each connect and disconnect and a heartbeat; no
 * device may see them, and no ordinary subscription exists, so nothing has to be matched or delivered. Completion is told
 * at once.
 */
export class SilentEmitter {
  on(_topic: string, _listener: unknown, done?: Done): this {
    if (done !== undefined) setImmediate(done)
    return this
  }

  removeListener(_topic: string, _listener: unknown, done?: Done): void {
    if (done !== undefined) setImmediate(done)
  }

  emit(_packet: unknown, done?: Done): void {
    if (done !== undefined) done()
  }

  close(done: () => void): void {
    setImmediate(done)
  }
}
