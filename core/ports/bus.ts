import type { StoredMessage } from '../model/message.js'

/** The hint "the log of `device` grew": where the message stands, whom it is for, and the message itself. */
export interface Notice {
  readonly device: string
  readonly epoch: string
  /** The claim that owned the device when the message was appended; a courier with another claimId ignores it. */
  readonly claimId: string
  readonly message: StoredMessage
}

/** What a node does with what reaches it. Every method must return quickly and must not throw. */
export interface BusHandler {
  /** Notices of one sender in the order in which it sent them. */
  onNotices(notices: readonly Notice[]): void
  /**
   * Another connection takes the device. Ends the connection of exactly `claimId`; resolves when its acks are flushed and
   * the claim is released (or at once when this node has no such connection).
   */
  onKick(kick: Kick): Promise<void>
  /** Notices may have been lost (a reconnect, a missing frame number): sweep now. */
  onGap(): void
}

export interface Kick {
  readonly device: string
  /** The claim that ends. Any other connection of the device ignores the kick. */
  readonly claimId: string
  readonly reason: 'taken_over' | 'revoked'
}

/**
 * Carries hints between nodes. Contract:
 * - Nothing on the bus is needed for correctness: a notice or kick may be lost, late or doubled at no harm but delay.
 * - Notices from one sender to one node arrive in the order sent, or `onGap` is called.
 * - `notify` never blocks and never rejects: what cannot be sent is dropped and counted.
 * - A frame carries its format version; a newer one than this node knows is dropped and counted.
 */
export interface Bus {
  /** Begins to receive for `node`; one handler a node. Rejects when the name is taken by a live node. */
  join(node: string, handler: BusHandler): Promise<void>
  /** Stops receiving; frames on their way to the node are dropped. Idempotent. */
  leave(node: string): Promise<void>
  /** Sends one frame with all `notices` to `node`. Unknown node: dropped. */
  notify(node: string, notices: readonly Notice[]): void
  /**
   * Asks `node` to end a connection. Resolves true when the node says that it flushed and released, false after
   * `timeoutMs` or when the node is not known. Never rejects.
   */
  kick(node: string, kick: Kick, timeoutMs: number): Promise<boolean>
  /** Nodes that are alive as far as the bus knows, this one included. */
  nodes(): Promise<readonly string[]>
  close(): Promise<void>
}
