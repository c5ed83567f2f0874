// Somebody who signs device tokens with a key of his own: key pairs, tokens and a JWKS, made with node:crypto alone, so that
// nothing of the library under test checks or completes them.

import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { Test } from 'tap'

export type Algorithm = 'RS256' | 'ES256' | 'EdDSA'

export interface IssuerKey {
  readonly algorithm: Algorithm
  readonly kid: string | null
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** As it stands in a JWKS. */
  readonly jwk: Readonly<Record<string, unknown>>
}

const PAIRS: Readonly<Record<Algorithm, () => { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>> = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
}

export function issuerKey(algorithm: Algorithm, kid: string | null): IssuerKey {
  const { publicKey, privateKey } = PAIRS[algorithm]()
  const jwk = { ...publicKey.export({ format: 'jwk' }), use: 'sig', alg: algorithm, ...(kid === null ? {} : { kid }) }
  return { algorithm, kid, privateKey, publicKey, jwk }
}

export const jwksOf = (...keys: readonly Pick<IssuerKey, 'jwk'>[]): string =>
  JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token with exactly this header. */
export function signWith(key: IssuerKey, header: object, claims: object): string {
  const input = `${part(header)}.${part(claims)}`
  const options = { key: key.privateKey, dsaEncoding: 'ieee-p1363' } as const
  const signature = sign(key.algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(input), options)
  return `${input}.${signature.toString('base64url')}`
}

/** A token as this issuer makes them. */
export function issue(key: IssuerKey, claims: object): string {
  return signWith(key, { alg: key.algorithm, typ: 'JWT', ...(key.kid === null ? {} : { kid: key.kid }) }, claims)
}

/** HS256 with any bytes for a key; claims as they are, or as the text that they are written as. */
export function hmacToken(header: object, claims: object | string, secret: Uint8Array): string {
  const body = typeof claims === 'string' ? Buffer.from(claims).toString('base64url') : part(claims)
  const input = `${part(header)}.${body}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** Claims of a good token that was made now. */
export function claimsOf(device: string, ttlSeconds = 600, now = Date.now()): Record<string, unknown> {
  const iat = Math.floor(now / 1000)
  return { sub: device, iat, exp: iat + ttlSeconds }
}

export interface JwksServer {
  readonly url: string
  /** Requests so far. */
  readonly requests: number
  /** What every request is answered from now on: a JWKS, or whatever `answer` does. */
  serve(answer: string | ((response: ServerResponse) => void)): void
}

/** An HTTP server on a loopback port that ends with the test. */
export async function startJwksServer(t: Test, first: string): Promise<JwksServer> {
  let answer: string | ((response: ServerResponse) => void) = first
  let requests = 0
  const server = createServer((_request, response) => {
    requests++
    if (typeof answer === 'string') response.setHeader('content-type', 'application/json').end(answer)
    else answer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}/keys.json`,
    get requests() {
      return requests
    },
    serve(next) {
      answer = next
    },
  }
}
