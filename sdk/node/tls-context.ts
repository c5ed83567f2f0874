import type { ConnectionOptions } from 'node:tls'
import type { Pem, TlsOptions } from './tls-options.js'

/** The options as Node's types have them. */
export function tlsContext({ ca, cert, key, ...rest }: TlsOptions): ConnectionOptions {
  const bytes = (pem: Pem): string | Buffer => (typeof pem === 'string' ? pem : Buffer.from(pem))
  const list = (pem: Pem | readonly Pem[]): readonly Pem[] =>
    typeof pem === 'string' || pem instanceof Uint8Array ? [pem] : pem
  return {
    ...rest,
    ...(ca === undefined ? {} : { ca: list(ca).map(bytes) }),
    ...(cert === undefined ? {} : { cert: bytes(cert) }),
    ...(key === undefined ? {} : { key: bytes(key) }),
  }
}
