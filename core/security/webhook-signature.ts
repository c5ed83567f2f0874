// Signatures as https://www.standardwebhooks.com has them: receivers verify them with that project's libraries.

import { createHmac, randomBytes } from 'node:crypto'

const PREFIX = 'whsec_'
/** Bytes of a secret. */
const SIZE = { made: 32, least: 24, most: 64 } as const
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export const WEBHOOK_SECRET_RULE = `whsec_ and ${SIZE.least} to ${SIZE.most} random bytes in base64`

export const generateWebhookSecret = (): string => PREFIX + randomBytes(SIZE.made).toString('base64')

/** The bytes that sign; null: not of the form. */
export function parseWebhookSecret(text: string): Buffer | null {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ''
  if (!BASE64.test(base64)) return null
  const bytes = Buffer.from(base64, 'base64')
  return bytes.length >= SIZE.least && bytes.length <= SIZE.most ? bytes : null
}

/** One signature for each secret. `at`: milliseconds, the time of this attempt. */
export function signWebhook(
  secrets: readonly Uint8Array[],
  { id, at, body }: { readonly id: string; readonly at: number; readonly body: string },
): Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>> {
  const timestamp = String(Math.floor(at / 1000))
  const signed = `${id}.${timestamp}.${body}`
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': secrets
      .map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
      .join(' '),
  }
}
