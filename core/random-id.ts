import { randomBytes } from 'node:crypto'

/** A random id of 64 bits as 11 characters of base64url: epochs, claim ids, generations. */
export function randomId(): string {
  return randomBytes(8).toString('base64url')
}
