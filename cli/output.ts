import type { Writable } from 'node:stream'
import { EXIT } from '../core/exit-codes.js'
import { CommandFailure } from './command.js'

/**
 * Writes, and resolves once the stream has handed it on: what is printed before an acknowledgement must be out before it.
 * Rejects with a CommandFailure when nobody reads any more.
 */
export async function write(stream: Writable, chunk: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(chunk, (error) => {
      if (error) reject(new CommandFailure(`cannot write: ${error.message}`, EXIT.failed.code, { cause: error }))
      else resolve()
    })
  })
}

export function writeLine(stream: Writable, line: string): Promise<void> {
  return write(stream, `${line}\n`)
}
