import type { ClientCertificate } from './client-certificate.js'

/** What a wire tells its connection. */
export interface WireHandler {
  received(chunk: Buffer): void
  /** Bytes have left after `write` answered false: the wire takes more. */
  writable(): void
  /** The other side sends nothing more. */
  ended(): void
  /** Bytes have come that the wire keeps, because what they belong to is not whole: what keeping them costs. */
  keeps(cost: number): void
  /** What came is not of the form that the wire is made of, as a WebSocket frame. Nothing more is read. */
  broken(): void
  /** Once, last: both directions are over. */
  closed(): void
}

/** Who is at the other end of a wire. */
export interface Peer {
  /**
   * The client's IP address in its canonical form (core/net/address.ts); from the proxy in front, if one is trusted to say it.
   * Empty: the socket ended before it could be asked.
   */
  readonly address: string
  /** 0: not known. */
  readonly port: number
  /** What it has shown in the TLS handshake, verified; null: nothing, or nothing that may stand for the device. */
  readonly certificate: ClientCertificate | null
}

/**
 * One byte stream to a device, whatever carries it (TCP, WebSocket). No method throws; after the end they do nothing.
 */
export interface Wire {
  readonly peer: Peer
  /** Bytes taken by `write` that the operating system has not taken yet. */
  readonly buffered: number
  /** Once, before anything else. */
  attach(handler: WireHandler): void
  /** False: taken, but write nothing more before `writable`. */
  write(bytes: Buffer): boolean
  pause(): void
  resume(): void
  /** Sends what was written, then closes this side. What comes in after that is thrown away. */
  finish(): void
  /** Ends at once. */
  destroy(): void
}
