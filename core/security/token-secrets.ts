import { StartupError } from '../errors.js'

/** HS256 is only as strong as its key: RFC 7518 section 3.2 asks for at least the size of the hash. */
export const SECRET_MIN_BYTES = 32

/**
 * The keys in a token secret as people write it: the text is trimmed, split at commas, each part trimmed; a key is the
 * UTF-8 bytes of its part. The first signs, all verify: put a new one in front, wait until the old tokens have expired,
 * take the old one away.
 *
 * Throws a StartupError that names `source` (never the secret) when a part is empty or under 32 bytes.
 */
export function parseTokenSecrets(text: string, source: string): readonly Uint8Array[] {
  return text
    .trim()
    .split(',')
    .map((part, index) => {
      const bytes = Buffer.from(part.trim(), 'utf8')
      if (bytes.byteLength < SECRET_MIN_BYTES) {
        throw new StartupError(
          `${source}: secret ${index + 1} has ${bytes.byteLength} bytes, a token secret needs ${SECRET_MIN_BYTES} or more ` +
            '(make one with: openssl rand -base64 48)',
        )
      }
      return bytes
    })
}
