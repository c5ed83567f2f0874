import type { Writable } from 'node:stream'

/** Writes and waits until the stream took it: what is written before an ack must be out before the ack. */
export async function write(stream: Writable, chunk: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()))
  })
}

export function writeLine(stream: Writable, line: string): Promise<void> {
  return write(stream, `${line}\n`)
}
