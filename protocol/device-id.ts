// Device ids. A device id is an MQTT client id, a topic level and a URL path segment, so one pattern serves all three.

export const DEVICE_ID_MAX = 128
const PATTERN = /^[A-Za-z0-9._:@-]{1,128}$/

/**
 * True when `id` may name a device: 1–128 characters of `A–Z a–z 0–9 . _ : @ -`, and neither `.` nor `..`
 * (which URL libraries fold away).
 */
export function isDeviceId(id: string): boolean {
  return PATTERN.test(id) && id !== '.' && id !== '..'
}

/** What a refused id is answered with; the same words in REST, MQTT logs and the command line. */
export const DEVICE_ID_RULE = 'a device id is 1 to 128 characters of A-Z a-z 0-9 . _ : @ - and neither "." nor ".."'
