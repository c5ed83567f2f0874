import type { TLSSocket } from 'node:tls'

/** A client certificate that one of the trusted authorities has signed. */
export interface ClientCertificate {
  /** Its common name, the id of the device; null: it has none, or more than one. */
  readonly device: string | null
  /** Its time, milliseconds UTC. */
  readonly issuedAt: number
  readonly expiresAt: number
}

/**
 * The certificate that the client has shown in its handshake. Null: none. `refused`: one that does not verify.
 *
 * `authorized` alone says nothing: it is true for a resumed session without any certificate, too.
 */
export function certificateOf(
  socket: Pick<TLSSocket, 'getPeerCertificate' | 'authorized'>,
): ClientCertificate | null | 'refused' {
  const shown = socket.getPeerCertificate()
  if (Object.keys(shown).length === 0) return null
  if (!socket.authorized) return 'refused'
  // Of several common names this is a list, whatever the type says.
  const commonName: unknown = shown.subject.CN
  return {
    device: typeof commonName === 'string' ? commonName : null,
    issuedAt: Date.parse(shown.valid_from),
    expiresAt: Date.parse(shown.valid_to),
  }
}
