// What a device sends, on its way to the connection and to Aedes: scanned, held back while it cannot go on, and not read while
// there is too much of it or it comes too fast.
//
// The wire is paused for any of these, and read again when none of them is left: bytes are held over a limit, Aedes has not
// taken what waits for it, the device waits for its rate.

import type { AedesStream } from './aedes-stream.js'
import { FrameScanner, type FrameSink, type FrameViolation } from './frame-scanner.js'
import { SLOWEST_BYTES_PER_SECOND, type BrokerLimits } from './limits.js'
import { Throttle, type ThrottleContext, type ThrottleOwner } from './throttle.js'
import type { Wire } from './wire.js'

export interface InboundContext extends ThrottleContext {
  readonly limits: BrokerLimits
  /** Wall clock, milliseconds. */
  now(): number
}

export interface InboundOwner {
  /** See `ThrottleOwner`. */
  readonly device: string | null
  readonly addressKey: string
  /** False: nothing more is looked at. */
  readonly alive: boolean
  /** What the scanner finds, see `FrameSink`. */
  acked(packetId: number): void
  connectComplete(): void
  unacceptableLevel(): void
  violated(violation: FrameViolation): void
  /** Bytes were scanned. `acks`: PUBACKs of the courier were among them. */
  scanned(acks: boolean): void
  /** Nothing is read for a while, which is not the device's silence. */
  waits(): void
  /** `packetEnds` has become a time. */
  packetBegun(): void
}

/** Bytes held while they cannot go on; above that the wire is paused. */
const HOLD_BYTES = 64 * 1024
/** What holding a piece costs beside its bytes. */
const HOLD_COST = 256
/** Of a packet that is not whole Aedes is given at least so much at a time: it keeps every piece that it is given. */
const AEDES_PIECE_BYTES = 16 * 1024

export class Inbound implements FrameSink, ThrottleOwner {
  readonly #wire: Wire
  readonly #stream: AedesStream
  readonly #context: InboundContext
  readonly #owner: InboundOwner
  readonly #scanner = new FrameScanner()
  /** How fast the device may send; from its first bytes after CONNACK on. */
  #throttle: Throttle | null = null
  #held: Buffer[] | null = null
  #heldCost = 0
  #paused = false
  /** PUBACKs were taken from the chunk that is being scanned. */
  #acks = false
  /** Wall clock, milliseconds: when the packet under way must be whole; Infinity: none is. */
  packetEnds = Infinity

  constructor(wire: Wire, stream: AedesStream, context: InboundContext, owner: InboundOwner) {
    this.#wire = wire
    this.#stream = stream
    this.#context = context
    this.#owner = owner
  }

  // --- from the connection

  /** Bytes of the CONNECT. */
  connecting(chunk: Buffer): void {
    this.#scan(chunk)
  }

  /** Bytes that wait for the CONNACK. */
  hold(chunk: Buffer): void {
    this.#held ??= []
    this.#held.push(chunk)
    this.#heldCost += chunk.length + HOLD_COST
    if (this.#heldCost > HOLD_BYTES) this.#pause()
  }

  /** Goes on with what was held, as far as it may go on. */
  goOn(): void {
    const held = this.#held
    this.#held = null
    this.#heldCost = 0
    for (const chunk of held ?? []) this.#scanOrHold(chunk)
    this.#resume()
  }

  /** Bytes of a connected device. */
  received(chunk: Buffer): void {
    this.#throttle ??= new Throttle(this.#context, this)
    if (this.#held === null) this.#throttle.nextTurn()
    this.#scanOrHold(chunk)
    if (this.#owner.alive) this.#throttle.received(chunk.length)
  }

  /** Aedes took everything that waited for it. */
  readByAedes(): void {
    this.#resume()
  }

  /** Takes nothing more; what comes is thrown away. */
  stop(): void {
    this.#held = null
    this.packetEnds = Infinity
    this.#throttle?.stop()
    this.#scanner.stop()
    this.#wire.resume()
  }

  #scanOrHold(chunk: Buffer): void {
    if (!this.#owner.alive) return
    if (this.#held === null) this.#scan(chunk)
    else this.hold(chunk)
  }

  #scan(chunk: Buffer): void {
    this.#acks = false
    const packets = this.#scanner.packets
    const taken = this.#scanner.scan(chunk, this.#context.limits, this)
    if (!this.#owner.alive) return
    if (taken < chunk.length) this.hold(chunk.subarray(taken))
    this.#owner.scanned(this.#acks)
    const whole = this.#scanner.packets > packets
    if (whole || this.#stream.waiting >= AEDES_PIECE_BYTES) this.#stream.wake()
    if (this.#stream.waiting > HOLD_BYTES) this.#pause()
    this.#watchPacket(whole)
  }

  /** A packet that has begun must come to its end. While it is we who do not read, its time stands still. */
  #watchPacket(whole: boolean): void {
    const { missing } = this.#scanner
    if (missing === 0 || this.#paused || this.#throttle === null) this.packetEnds = Infinity
    else if (whole || this.packetEnds === Infinity) {
      const { limits } = this.#context
      this.packetEnds = this.#context.now() + limits.packetTimeoutMs + (missing / SLOWEST_BYTES_PER_SECOND) * 1000
      this.#owner.packetBegun()
    }
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    this.#wire.pause()
  }

  #resume(): void {
    if (!this.#paused || this.#throttle?.active === true) return
    if (this.#heldCost > HOLD_BYTES || this.#stream.waiting > HOLD_BYTES) return
    this.#paused = false
    this.#wire.resume()
  }

  /** The publish that was just read does not count. */
  giveBack(): void {
    this.#throttle?.giveBack()
  }

  /** What was read is worth so many packets more. */
  charge(packets: number): void {
    this.#throttle?.charge(packets)
  }

  // --- from the throttle

  get device(): string | null {
    return this.#owner.device
  }

  get addressKey(): string {
    return this.#owner.addressKey
  }

  throttled(): void {
    this.packetEnds = Infinity
    this.#pause()
  }

  waits(): void {
    this.#owner.waits()
  }

  released(): void {
    this.goOn()
  }

  // --- from the scanner

  mayBegin(first: number): boolean {
    this.#throttle ??= new Throttle(this.#context, this)
    return this.#throttle.mayBegin(first)
  }

  forward(bytes: Uint8Array): void {
    this.#stream.push(bytes)
  }

  acked(packetId: number): void {
    this.#acks = true
    this.#owner.acked(packetId)
  }

  connectComplete(): void {
    this.#owner.connectComplete()
  }

  unacceptableLevel(): void {
    this.#owner.unacceptableLevel()
  }

  violated(violation: FrameViolation): void {
    this.#owner.violated(violation)
  }
}
