// What the rest of the product sees of the couriers: one CourierHost per node, one Courier per connected device.
//
// A connection's life, as its broker conducts it:
//   1. `open` when the device is authenticated, before CONNACK. It may take up to the kick time (250 ms) twice.
//   2. `begin` for a mailbox subscription (after SUBACK), `pause` for UNSUBSCRIBE; in stream mode `hello` follows.
//   3. `acked` (plain mode), `ackedUpTo` and `received` (stream mode), `heard`, `drained` as things happen; none of them
//      throws, all return at once, and messages may be handed to the transport inside any of these but `heard`.
//   4. `ended` exactly when the *socket* has closed, whoever closed it. A courier that is never told so keeps its claim.
// The courier itself calls `transport.close(code)`: after its acks are stored and its claim is released, or when the grace
// time (1 s) is over. PUBACKs that come until then still count: go on calling `acked`.

import type { CloseCode } from '../protocol/codes.js'
import type { WirePosition } from '../protocol/frames/frame-types.js'
import type { DeviceTransport } from './device-transport.js'

export interface OpenRequest {
  readonly device: string
  readonly transport: DeviceTransport
  /** False once the socket has ended: `open` then gives up without claiming (or releases what it just claimed). */
  isAlive(): boolean
}

export { TOO_EARLY } from './machine-resume.js'

/** What a stream device says first. */
export interface CourierHello {
  /** By log: up to where it has handled everything. Logs that it knows nothing of are absent. */
  readonly cursors: ReadonlyMap<string, WirePosition>
  /** How many messages it takes at one time; granted up to the node's limit. */
  readonly window: number
}

/** A device's connection: owns the claim from `CourierHost.open` until `ended` or `close`. */
export interface Courier {
  readonly device: string
  readonly claimId: string
  /** The mailbox filter that the device's clean=false session kept, as read with the claim. */
  readonly keptSubscription: string | null
  /**
   * The device has a mailbox subscription: deliver; in stream mode after its hello. Idempotent; after `pause` goes on where it
   * stopped. The mode of a connection never changes between plain and stream.
   */
  begin(mode: 'plain' | 'stream'): void
  /**
   * Stream mode: resumes from where the device says, answered by `DeviceTransport.welcome`. False: it does not belong here (a
   * second one, or no stream subscription).
   */
  hello(hello: CourierHello): boolean
  /** UNSUBSCRIBE: sends nothing more; acks in flight still count. */
  pause(): void
  /** Keeps or forgets the subscription in the device record. Rejects with a PostriderError when the store cannot. */
  keepSubscription(filter: string | null): Promise<void>
  /** A PUBACK. False: unknown packet id, ignored and counted. */
  acked(packetId: number): boolean
  /**
   * An ack frame of a stream device: all up to the position is handled. How many messages were in flight until now and are
   * not any more; or TOO_EARLY: there was no hello.
   */
  ackedUpTo(log: string, position: WirePosition): number
  /** A stream device has received all of the log up to the position. */
  received(log: string, epoch: string, seq: number): void
  /** The transport's buffer went below its limit again. */
  drained(): void
  /** Bytes came from the device, or bytes left the full buffer to it: it is alive. Cheap, called for every chunk. */
  heard(): void
  /** Sends nothing more, for good: the node drains, and `close` follows when the device has acknowledged what it has. */
  letGo(): void
  /** Nothing is in flight to the device, and nothing about to be. */
  readonly rests: boolean
  /** Ends the connection from the server's side: flushes acks, releases the claim, closes the transport with `code`. */
  close(code: CloseCode): Promise<void>
  /** The socket has closed: flushes acks and releases the claim. Idempotent, never rejects. */
  ended(): Promise<void>
}

export interface CourierHost {
  /** Joins the bus and begins to sweep. */
  start(): Promise<void>
  /**
   * Takes the device for a new connection: kicks the present owner, waits at most 250 ms for it to flush and release, then
   * claims by force. Calls for one device are served one after another. Rejects with PostriderError (`store_unavailable`,
   * `overloaded`) or with `ConnectionGone` when `isAlive()` turned false.
   */
  open(request: OpenRequest): Promise<Courier>
  /** Connected devices of this node. */
  readonly size: number
  /**
   * Closes every connection with `draining`, flushes, releases, leaves the bus. When the store does not take that within the
   * stop time, goes without: acks are lost with their messages coming again, claims are those of a node that is gone. Idempotent.
   */
  stop(): Promise<void>
}

/** `open` gave up because the socket had ended. */
export class ConnectionGone extends Error {
  constructor() {
    super('the connection ended before it could own the device')
    this.name = 'ConnectionGone'
  }
}
