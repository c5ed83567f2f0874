// Device tokens (JWT, HS256) for the benchmark's devices, made here so that 15,000 of them cost the server nothing.
import { createHmac } from 'node:crypto'

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const HEADER = base64url({ alg: 'HS256', typ: 'JWT' })

/** A token of `device`, valid for an hour from `nowSeconds`. */
export function signDeviceToken(secret: string, device: string, nowSeconds: number): string {
  // Issued a little in the past: a clock that is read twice must not make the token one of the future.
  const unsigned = `${HEADER}.${base64url({ sub: device, iat: nowSeconds - 5, exp: nowSeconds + 3600 })}`
  return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`
}
