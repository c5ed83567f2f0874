/** PEM text, or its bytes. */
export type Pem = string | Uint8Array

/** For `mqtts://` and `wss://`; as in `tls.connect` of Node. */
export interface TlsOptions {
  /** Certificates of the authorities to trust, in place of the well-known ones. */
  readonly ca?: Pem | readonly Pem[]
  /** A certificate of the device's own, with its key, where the server asks for one. */
  readonly cert?: Pem
  readonly key?: Pem
  readonly passphrase?: string
  /** The name to look for in the server's certificate, where it is not the host's. */
  readonly servername?: string
  /** False: anybody may be the server. For tests. */
  readonly rejectUnauthorized?: boolean
}
