// What bytes a device receives for `payload` or `payloadBase64`, and the way back for a peek.

import { isUtf8 } from 'node:buffer'

export type PayloadFault = 'too_large' | 'not_base64' | 'too_deep'

export const TEXT_TYPE = 'text/plain'
export const JSON_TYPE = 'application/json'
export const BYTES_TYPE = 'application/octet-stream'

/** The bytes of a text without lone surrogates. */
export function encodeText(text: string, max: number): Uint8Array | PayloadFault {
  // One UTF-16 unit makes at least one byte: most oversized texts are refused without encoding them.
  if (text.length > max) return 'too_large'
  const bytes = Buffer.from(text, 'utf8')
  return bytes.byteLength > max ? 'too_large' : bytes
}

/** Any other JSON value as `JSON.stringify` writes it. Half surrogate pairs in it survive: they are written as escapes. */
export function encodeJson(value: unknown, max: number): Uint8Array | PayloadFault {
  let text: string
  try {
    text = JSON.stringify(value)
  } catch (error) {
    // Parsing does not recurse, writing does.
    if (error instanceof RangeError) return 'too_deep'
    throw error
  }
  return encodeText(text, max)
}

/** RFC 4648 section 4, with padding and without anything that decoders would have to ignore. */
export function decodeBase64(text: string, max: number): Uint8Array | PayloadFault {
  if (text.length % 4 !== 0) return 'not_base64'
  if ((text.length / 4) * 3 - 2 > max) return 'too_large'
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) return 'not_base64'
  return bytes.byteLength > max ? 'too_large' : bytes
}

export type ShownPayload = { readonly payload: unknown } | { readonly payloadBase64: string }

const isJsonType = (contentType: string): boolean => /^application\/(?:json|[^;]+\+json)\s*(?:;|$)/i.test(contentType)

/**
 * The payload as a peek shows it. Pushing what is shown, with the same content type, makes the same bytes again: JSON is
 * shown as a value only if writing that value gives the bytes, else it is text as any other UTF-8.
 */
export function showPayload(bytes: Uint8Array, contentType: string): ShownPayload {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (contentType === BYTES_TYPE || !isUtf8(buffer)) return { payloadBase64: buffer.toString('base64') }
  const text = buffer.toString('utf8')
  if (!isJsonType(contentType)) return { payload: text }
  try {
    const value: unknown = JSON.parse(text)
    return { payload: typeof value !== 'string' && JSON.stringify(value) === text ? value : text }
  } catch {
    return { payload: text } // not JSON, whatever its type says, or nested too deep to be written
  }
}
