/** What a wire tells its connection. */
export interface WireHandler {
  received(chunk: Buffer): void
  /** Bytes have left after `write` answered false: the wire takes more. */
  writable(): void
  /** The other side sends nothing more. */
  ended(): void
  /** Once, last: both directions are over. */
  closed(): void
}

/**
 * One byte stream to a device, whatever carries it (TCP, WebSocket). No method throws; after the end they do nothing.
 */
export interface Wire {
  /** Who is there, for logs. */
  readonly remote: string
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
