// Request bodies as text: bounded, checked to be UTF-8, and not interpreted.

import { isAscii, isUtf8 } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { ChunkList } from '../core/chunk-list.js'
import { PostriderError } from '../core/errors.js'

/** Bytes of the bodies that arrive in several pieces, over all connections. */
export class ReceivingBudget {
  readonly #max: number
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  get held(): number {
    return this.#held
  }

  /** False when there is no room; then nothing was taken. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false
    this.#held += bytes
    return true
  }

  release(bytes: number): void {
    this.#held -= bytes
  }
}

export interface BodyLimits {
  readonly bodyMax: number
  readonly budget: ReceivingBudget
}

/** Reads what still arrives and drops it, so that the client gets to read the answer; ends a connection that goes on and on. */
function drop(stream: Readable, most: number): void {
  let dropped = 0
  stream.on('data', (chunk: Buffer) => {
    dropped += chunk.byteLength
    if (dropped > most) stream.destroy()
  })
}

const tooLarge = (max: number): PostriderError =>
  new PostriderError('body_too_large', `a request body of at most ${max} bytes is allowed`)

function decode(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (!isUtf8(bytes)) throw new PostriderError('bad_request', 'the body is not valid UTF-8')
  return bytes.toString('utf8')
}

/**
 * Reads a body to its end. Calls `done` once: with the text, or with why there is none; what still arrives then is read and
 * dropped, as much as a body may be.
 */
export function readText(
  stream: Readable,
  headers: IncomingHttpHeaders,
  limits: BodyLimits,
  done: (error: Error | null, text?: string) => void,
): void {
  const { bodyMax, budget } = limits
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    drop(stream, bodyMax)
    done(new PostriderError('bad_request', 'Content-Encoding: only bodies without a content encoding are taken'))
    return
  }
  if (Number(headers['content-length'] ?? 0) > bodyMax) {
    drop(stream, bodyMax)
    done(tooLarge(bodyMax))
    return
  }

  const chunks = new ChunkList()
  let taken = 0

  function finish(error: Error | null): void {
    stream.off('data', onData)
    stream.off('end', onEnd)
    stream.off('error', onClose)
    stream.off('close', onClose)
    budget.release(taken)
    if (error !== null) {
      drop(stream, bodyMax)
      done(error)
      return
    }
    let text = ''
    try {
      if (chunks.length > 0) text = decode(chunks.take())
    } catch (fault) {
      done(fault instanceof Error ? fault : new Error('the body cannot be decoded', { cause: fault }))
      return
    }
    done(null, text)
  }

  function onData(chunk: Buffer): void {
    const before = chunks.length
    const size = before + chunk.byteLength
    if (size > bodyMax) {
      finish(tooLarge(bodyMax))
      return
    }
    // A body of one piece is not counted: it is here already.
    const more = before === 0 ? 0 : taken === 0 ? size : chunk.byteLength
    if (budget.take(more)) {
      taken += more
      chunks.push(chunk)
    } else finish(new PostriderError('overloaded', 'too many bytes of requests are arriving; nothing was stored'))
  }
  const onEnd = (): void => finish(null)
  // The client has gone away, by a reset or without one: nobody reads the answer, and nothing is wrong here.
  const onClose = (): void => finish(new PostriderError('bad_request', 'the body ended early'))

  stream.on('data', onData)
  stream.on('end', onEnd)
  stream.on('error', onClose)
  stream.on('close', onClose)
}

const POSITION = /\bposition (\d+)/

/** Parses JSON; throws `bad_request`. The parser's own words are not told on: they quote the text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const position = error instanceof Error ? POSITION.exec(error.message)?.[1] : undefined
    const place = position === undefined ? '' : ` (at character ${position})`
    throw new PostriderError('bad_request', `the text is not valid JSON${place}`)
  }
}
