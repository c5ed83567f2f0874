/** Something that accepts devices. */
export interface DeviceListener {
  /** Resolves with the port. Rejects with StartupError. */
  listen(): Promise<number>
  /** Stops accepting; what was accepted stays. Idempotent. */
  close(): void
}
