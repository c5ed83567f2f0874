// The W3C Trace Context of a message: where it came from, kept beside the payload as an attribute, so that who handles it can go
// on with the trace. It says nothing of what the message is: two pushes that differ in it alone are one message.

import type { Attributes } from './message.js'

export const TRACEPARENT = 'traceparent'

/** Version 00, with ids that are not all zero. Later versions may say more than could be kept. */
export const TRACEPARENT_PATTERN = '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$'

const FORM = new RegExp(TRACEPARENT_PATTERN)

export const isTraceparent = (text: string): boolean => text.length === 55 && FORM.test(text)

/** Attributes (sorted by key) with the trace context; what they have already stays. */
export function withTraceparent(attributes: Attributes | null, traceparent: string | null): Attributes | null {
  if (traceparent === null) return attributes
  if (attributes === null) return [[TRACEPARENT, traceparent]]
  if (attributes.some(([key]) => key === TRACEPARENT)) return attributes
  const at = attributes.findIndex(([key]) => key > TRACEPARENT)
  const place = at < 0 ? attributes.length : at
  return [...attributes.slice(0, place), [TRACEPARENT, traceparent], ...attributes.slice(place)]
}

/** Null: there is none. */
export function traceparentOf(attributes: Attributes): string | null {
  for (const [key, value] of attributes) if (key === TRACEPARENT) return value
  return null
}
