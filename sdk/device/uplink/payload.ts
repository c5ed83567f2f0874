const UTF8 = new TextEncoder()

/** What may be sent: bytes as they are, text as UTF-8, anything else as JSON. */
export type Payload =
  Uint8Array | string | number | boolean | null | readonly unknown[] | { readonly [key: string]: unknown }

export interface EncodedPayload {
  readonly bytes: Uint8Array
  readonly contentType: string
}

/** Throws TypeError for what JSON cannot say: undefined, a function, a BigInt, a circle. */
export function encodePayload(payload: unknown): EncodedPayload {
  if (payload instanceof Uint8Array) return { bytes: payload, contentType: 'application/octet-stream' }
  if (typeof payload === 'string') return { bytes: UTF8.encode(payload), contentType: 'text/plain' }
  const text: unknown = JSON.stringify(payload)
  if (typeof text !== 'string') throw new TypeError(`a ${typeof payload} has no JSON form`)
  return { bytes: UTF8.encode(text), contentType: 'application/json' }
}
