// What our TLS servers offer, the same on every listener.

import { constants, randomBytes } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import { MIN_VERSION, type TlsMaterial } from './material.js'

/**
 * TLS 1.2 with forward secrecy and authenticated encryption, or TLS 1.3: what Mozilla calls "intermediate". Older devices
 * that speak neither need a proxy of their own.
 */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** Bytes of the keys that encrypt session tickets. */
const TICKET_KEYS_BYTES = 48

/** One server context for one set of files. `clients`: ask for certificates, if there are authorities for them. */
export function serverContext(
  { cert, key, clientCa }: TlsMaterial,
  { clients }: { readonly clients: boolean },
): SecureContextOptions & { readonly ticketKeys: Buffer } {
  return {
    cert,
    key,
    ...(clients && clientCa !== null ? { ca: clientCa } : {}),
    minVersion: MIN_VERSION,
    ciphers: CIPHERS,
    // A client could make the server work for ever at one handshake after the other.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: 'postrider',
    // New with every new set: a resumed session is not verified again, so none may outlive the authority it was verified by.
    ticketKeys: randomBytes(TICKET_KEYS_BYTES),
  }
}
