import { DEVICE_ID_RULE, isDeviceId } from '../../protocol/device-id.js'
import { PostriderError } from '../../core/errors.js'

/** Milliseconds UTC as RFC 3339. */
export const rfc3339 = (ms: number): string => new Date(ms).toISOString()

export const rfc3339OrNull = (ms: number | null): string | null => (ms === null ? null : rfc3339(ms))

export const deviceNotFound = (device: string): PostriderError =>
  new PostriderError(
    'device_not_found',
    `the device ${JSON.stringify(device)} does not exist: a push, a token or a connection creates it`,
  )

export function checkDeviceId(device: string): void {
  if (!isDeviceId(device)) throw new PostriderError('invalid_device_id', DEVICE_ID_RULE)
}
