// The inner end of a worker process: answers the calls that the benchmark makes over the IPC channel.
import { entries, number, string } from './decode.js'

/** Takes the argument of a call (to be decoded), returns what structured clone can carry. */
export type WorkerHandler = (argument: unknown) => unknown

/**
 * Answers calls by name until the channel closes; then the process ends, so that no worker outlives the benchmark.
 * A handler that throws fails its call, not the worker.
 */
export function serveWorker(handlers: ReadonlyMap<string, WorkerHandler>): void {
  const answer = (reply: { id: number; result?: unknown; error?: string }): void => {
    process.send?.(reply)
  }
  process.on('message', (message: unknown) => {
    const call = entries(message, 'call')
    const id = number(call.get('id'), 'call.id')
    const name = string(call.get('name'), 'call.name')
    const run = async (): Promise<unknown> => {
      const handler = handlers.get(name)
      if (handler === undefined) throw new Error(`unknown call ${name}`)
      return await handler(call.get('argument'))
    }
    run().then(
      (result) => answer({ id, result }),
      (error: unknown) => answer({ id, error: error instanceof Error ? error.message : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
  // Ctrl-C reaches the whole foreground group; the benchmark decides when its workers end.
  process.on('SIGINT', () => {})
}
