// Rules on strings that the schemas state and the validator of messages repeats.

const LONE_SURROGATE = /\p{Surrogate}/u
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/

/** Half a surrogate pair has no UTF-8 form: encoding would put U+FFFD in its place. */
export const hasLoneSurrogate = (text: string): boolean => LONE_SURROGATE.test(text)

export const isPrintableAscii = (text: string): boolean => PRINTABLE_ASCII.test(text)

/** True when `text` has at most `max` characters (code points, as JSON schema counts). */
export function hasAtMost(text: string, max: number): boolean {
  if (text.length <= max) return true
  if (text.length > 2 * max) return false
  let count = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const next = text.charCodeAt(i + 1)
    if (code >= 0xd800 && code <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) i++
    count++
  }
  return count <= max
}

/** For messages about something that the client sent: a name, never a value. */
export const quoteName = (name: string): string => JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)

/** JSON objects; arrays and null are none. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
