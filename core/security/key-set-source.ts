// Where a JWKS comes from: a file, or a URL.

import { open } from 'node:fs/promises'
import { KEY_SET_MAX_BYTES, KeySetError } from './key-set.js'

export interface KeySetSource {
  /** For messages: without a query, which may hold a secret. */
  readonly name: string
  readonly kind: 'file' | 'url'
  /** The text; rejects with KeySetError when it cannot be had whole. Ends when `signal` says so. */
  read(signal: AbortSignal): Promise<string>
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  // fetch says "fetch failed", and why in its cause.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}

/** `location`: `https://…`, `http://…`, or the path of a file. */
export function keySetSource(location: string): KeySetSource {
  return /^https?:\/\//.test(location) ? urlSource(new URL(location)) : fileSource(location)
}

function urlSource(url: URL): KeySetSource {
  const name = `${url.origin}${url.pathname}`

  async function read(signal: AbortSignal): Promise<string> {
    let response: Response
    try {
      response = await fetch(url, {
        signal,
        // Wherever a redirect leads: the keys would be those of somebody who was not named.
        redirect: 'error',
        headers: { accept: 'application/jwk-set+json, application/json', 'accept-encoding': 'identity' },
      })
    } catch (cause) {
      throw new KeySetError(`${name}: ${reasonOf(cause)}`, { cause })
    }
    const { body, status } = response
    if (status !== 200 || body === null) {
      await body?.cancel()
      throw new KeySetError(`${name}: answered ${status}`)
    }
    return decode(await collect(body, name), name)
  }

  return { name, kind: 'url', read }
}

/** Counts the bytes after decompression: fetch decompresses what it was not asked to. */
async function collect(body: ReadableStream<Uint8Array>, name: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of body) {
      length += chunk.byteLength
      // Leaving the loop cancels the rest.
      if (length > KEY_SET_MAX_BYTES) throw new KeySetError(`${name}: larger than ${KEY_SET_MAX_BYTES} bytes`)
      chunks.push(chunk)
    }
  } catch (cause) {
    throw cause instanceof KeySetError ? cause : new KeySetError(`${name}: ${reasonOf(cause)}`, { cause })
  }
  return Buffer.concat(chunks)
}

function fileSource(path: string): KeySetSource {
  async function read(): Promise<string> {
    try {
      const file = await open(path, 'r')
      try {
        // One byte more than allowed tells whether there is more.
        const { buffer, bytesRead } = await file.read(Buffer.alloc(KEY_SET_MAX_BYTES + 1), 0, KEY_SET_MAX_BYTES + 1, 0)
        if (bytesRead > KEY_SET_MAX_BYTES) throw new KeySetError(`${path}: larger than ${KEY_SET_MAX_BYTES} bytes`)
        return decode(buffer.subarray(0, bytesRead), path)
      } finally {
        await file.close()
      }
    } catch (cause) {
      throw cause instanceof KeySetError
        ? cause
        : new KeySetError(`${path}: cannot be read: ${reasonOf(cause)}`, { cause })
    }
  }

  return { name: path, kind: 'file', read }
}

function decode(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new KeySetError(`${name}: not UTF-8`, { cause })
  }
}
