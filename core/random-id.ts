import { randomBytes } from 'node:crypto'

/** A random id of 64 bits as 11 characters of base64url: epochs, claim ids, generations. */
export function randomId(): string {
  return randomBytes(8).toString('base64url')
}

/** So many of them, for less than one by one. */
export function randomIds(count: number): readonly string[] {
  const bytes = randomBytes(8 * count)
  return Array.from({ length: count }, (_, i) => bytes.toString('base64url', 8 * i, 8 * i + 8))
}
