// One device's connection: it owns the wire, looks at the bytes before Aedes does, and is the one way out.
//
//   connecting ──CONNECT whole──▶ admitting ──CONNACK 0 written──▶ open ──▶ closing ──wire closed──▶ closed
//        │                           │ (bytes that come are held)    │         ▲
//        └───────────────────────────┴───────────────────────────────┴─────────┘ any end: `close(reason)`, once
// The courier is ended when the wire has closed; or at once when we close: nothing that still comes is looked at then.

import { addressKey } from '../core/limits/address-key.js'
import { formatEndpoint } from '../core/net/address.js'
import type { Courier } from '../courier/courier-api.js'
import type { ConnectionAdmission } from './admission.js'
import type { ClientHandle } from './aedes-internals.js'
import { AedesStream } from './aedes-stream.js'
import { REFUSE_LEVEL, REFUSE_STORE, type ConnectRefusal, type ConnectRequest } from './connect-policy.js'
import type { ConnectionContext } from './connection-context.js'
import type { ConnectionRoles } from './connection-roles.js'
import { ConnectionTally } from './connection-tally.js'
import type { CloseReason, ProtocolError } from './counters.js'
import { NO_SLOT } from './deadline-wheel.js'
import { byeFor } from './farewell.js'
import type { FrameViolation } from './frame-scanner.js'
import { Inbound } from './inbound.js'
import { MailboxSession } from './mailbox-session.js'
import { MailboxTransport } from './mailbox-transport.js'
import { Output } from './output.js'
import { routePacket } from './packet-route.js'
import { OrdinaryClient } from './pubsub/client.js'
import { PublishDesk } from './publish-desk.js'
import type { Peer, Wire } from './wire.js'

/** Bytes that a closed connection may still send until its other side has closed too. */
const LINGER_BYTES = 256 * 1024

export class Connection implements ConnectionRoles {
  readonly #wire: Wire
  readonly #context: ConnectionContext
  readonly #output: Output
  readonly #stream: AedesStream<Connection>
  readonly #inbound: Inbound
  /** Aedes' side; made when the CONNECT is whole, because sockets without one shall cost little. */
  #client: ClientHandle | null = null
  #state: 'connecting' | 'admitting' | 'open' | 'closing' | 'closed' = 'connecting'
  /** The device said DISCONNECT. */
  #leaving = false
  /** The result of its CONNECT is counted. */
  #answered = false
  /** Bytes that came after the end. */
  #afterEnd = 0
  #session: MailboxSession | null = null
  #ordinary: OrdinaryClient | null = null
  #publishes: PublishDesk | null = null
  #courier: Courier | null = null
  #transport: MailboxTransport | null = null
  readonly #tally: ConnectionTally

  /** The device, once its CONNECT was well-formed. */
  device: string | null = null
  /** What its CONNECT asks, between being read and being admitted. */
  request: ConnectRequest | null = null
  /** Counts among the node's connections. */
  admitted = false
  /** Bytes kept of a CONNECT that is not whole. */
  strangerBytes = 0
  /** Wall clock, milliseconds: when the state is over, or Infinity. */
  #stateEnds = Infinity
  slot = NO_SLOT

  constructor(wire: Wire, context: ConnectionContext) {
    this.#wire = wire
    this.#context = context
    this.#tally = new ConnectionTally(context.counters)
    this.#output = new Output(wire, context.flusher, this)
    this.#stream = new AedesStream<Connection>(this)
    this.#inbound = new Inbound(wire, this.#stream, context, this)
    this.#endState(context.now() + context.limits.connectTimeoutMs)
    wire.attach(this)
  }

  /** Wall clock, milliseconds: when `expire` is to be called, or Infinity. */
  get deadline(): number {
    return Math.min(this.#stateEnds, this.#inbound.packetEnds)
  }

  get peer(): Peer {
    return this.#wire.peer
  }

  get remote(): string {
    return formatEndpoint(this.#wire.peer.address, this.#wire.peer.port)
  }

  get alive(): boolean {
    return this.#state !== 'closing' && this.#state !== 'closed'
  }

  /** This connection goes on with something of an earlier one [MQTT-3.2.2-2]. */
  get sessionPresent(): boolean {
    return this.#session?.resumed === true || this.#ordinary?.resumed === true
  }

  /** Bytes written that the operating system has not taken yet. */
  get buffered(): number {
    return this.#output.buffered
  }

  /** How the courier writes to this connection. */
  makeTransport(device: string): MailboxTransport {
    this.#transport = new MailboxTransport(device, this.#output, this.#context, this, this.#tally)
    return this.#transport
  }

  // --- towards admission

  /** The device is let in; CONNACK follows when its sessions are as the CONNECT wants them. See OrdinaryClient.open. */
  admit({ device, mailbox, acl, clean, expiresAt, will }: ConnectionAdmission): Promise<void> | null {
    const { counters, hub, limits, log, uplink } = this.#context
    this.#courier = mailbox?.courier ?? null
    this.#endState(expiresAt ?? Infinity)
    const ordinary = new OrdinaryClient({ hub, connection: this, client: device, clean, acl })
    const shared = { device, ordinary, connection: this, counters, limits, log }
    this.#ordinary = ordinary
    this.#session = new MailboxSession({ ...shared, mailbox, clean })
    this.#publishes = new PublishDesk({ ...shared, acl, uplink, mailbox })
    return ordinary.open(will)
  }

  /** Answers CONNACK with the refusal's code and closes [MQTT-3.2.2-5]. */
  refuse({ code, result }: ConnectRefusal): void {
    const { counters } = this.#context
    if (!this.alive) {
      if (!this.#answered) counters.connects.gone++
      this.#answered = true
      return
    }
    this.#answered = true
    counters.connects[result]++
    this.#context.log.info({ device: this.device, remote: this.remote, result }, 'connection refused')
    this.#output.write(Buffer.from([0x20, 2, 0, code]))
    this.close('refused')
  }

  /** Aedes has written CONNACK 0. */
  opened(): void {
    if (this.#state !== 'admitting' || this.#session === null) return
    this.#state = 'open'
    this.#answered = true
    this.#tally.opened(this.#context.now())
    this.#session.begin()
    this.#ordinary?.begin()
    this.#inbound.goOn()
  }

  // --- from the wire

  received(chunk: Buffer): void {
    this.#tally.took(chunk.length)
    switch (this.#state) {
      case 'connecting':
        this.#context.door.keeps(this, chunk.length)
        if (this.alive) this.#inbound.connecting(chunk)
        break
      case 'open':
        this.#inbound.received(chunk)
        break
      case 'admitting':
        this.#inbound.hold(chunk)
        break
      case 'closing':
        // What comes is thrown away, so that the device gets to read the last bytes; but it is no place to send to.
        this.#afterEnd += chunk.length
        if (this.#afterEnd > LINGER_BYTES) this.#wire.destroy()
        break
      case 'closed':
        break
    }
  }

  writable(): void {
    this.#output.writable()
    this.#courier?.heard()
  }

  /** Not called at every piece that leaves: the courier sends on at once, and would keep a full buffer full. */
  outputEmptied(): void {
    this.#courier?.drained()
    this.#ordinary?.drained()
  }

  ended(): void {
    this.close('client')
  }

  keeps(cost: number): void {
    if (this.#state === 'connecting') this.#context.door.keeps(this, cost)
  }

  broken(): void {
    this.violated('bad_websocket')
  }

  closed(): void {
    this.close('client')
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#stateEnds = Infinity
    void this.#courier?.ended()
    this.#context.door.isGone(this)
    this.#context.gone(this)
  }

  // --- from what comes in

  get addressKey(): string {
    return addressKey(this.#wire.peer.address)
  }

  scanned(acks: boolean): void {
    // [MQTT-3.1.2-24]: a packet came that Aedes does not see. Once a chunk is often enough.
    if (acks) this.#client?.refreshKeepAlive()
    this.#courier?.heard()
  }

  waits(): void {
    this.#client?.refreshKeepAlive()
    this.#courier?.heard()
  }

  packetBegun(): void {
    this.#context.deadlines.watch(this, this.#context.now())
  }

  acked(packetId: number): void {
    this.#tally.acked()
    const known = this.#courier !== null && this.#transport?.acked(packetId, this.#courier) === true
    if (!known) this.#context.counters.pubacksUnknown++
  }

  connectComplete(): void {
    this.#state = 'admitting'
    this.#client = this.#context.internals.open(this.#stream)
    this.#context.door.isKnown(this)
    this.#context.door.keepsNothing(this)
  }

  unacceptableLevel(): void {
    this.refuse(REFUSE_LEVEL)
  }

  violated(error: FrameViolation | ProtocolError): void {
    if (!this.alive) return
    this.#context.counters.protocolErrors[error]++
    this.#context.log.info({ device: this.device, remote: this.remote, error }, 'protocol violated')
    this.close('protocol_error')
  }

  // --- from Aedes

  writeFromAedes(bytes: Buffer): void {
    this.reply(bytes)
  }

  /** A device that asks and does not read the answers is not waited for. The courier has its own limit. */
  reply(bytes: Buffer): void {
    const { maxUnsentBytes, maxPublishBytes } = this.#context.limits
    if (this.alive && this.#output.cost > maxUnsentBytes + maxPublishBytes) this.close('slow_consumer')
    else this.#output.write(bytes)
  }

  mayRead(): boolean {
    return !(this.#session?.busy === true || this.#publishes?.busy === true)
  }

  readByAedes(): void {
    this.#inbound.readByAedes()
  }

  destroyedByAedes(error: Error | null): void {
    if (error !== null) {
      this.#context.log.debug({ device: this.device, remote: this.remote, err: error }, 'connection ended by Aedes')
      this.violated('malformed_packet')
    }
    // Without an error and without DISCONNECT: Aedes has registered a newer connection of the device [MQTT-3.1.4-2].
    this.close(this.#leaving ? 'disconnect' : 'taken_over')
  }

  intercept(parsed: unknown): boolean {
    if (!this.alive) return true
    const takers = { session: this.#session, ordinary: this.#ordinary, publishes: this.#publishes }
    const route = routePacket(parsed, takers, this)
    this.#leaving ||= route === 'disconnect'
    if (route === 'taken' && this.alive) this.#client?.refreshKeepAlive()
    return route === 'taken'
  }

  wasCalledFor(): void {
    this.#inbound.giveBack()
  }

  charge(packets: number): void {
    this.#inbound.charge(packets)
  }

  // --- from the session

  sessionIdle(): void {
    this.#stream.wake()
  }

  /** A message of ordinary pub/sub; the session has its own limit. */
  write(bytes: Buffer): void {
    this.#output.write(bytes)
  }

  // --- the end

  get standing(): boolean {
    return this.admitted && this.alive
  }

  get rests(): boolean {
    if (this.#state !== 'open' || this.#output.buffered > 0) return false
    return this.#courier?.rests !== false && this.#publishes?.rests !== false && this.#session?.busy !== true
  }

  letGo(): void {
    this.#courier?.letGo()
  }

  leave(): void {
    if (this.#courier === null) this.close('draining')
    else void this.#courier.close('draining')
  }

  /** Ends it at once: others need the room. */
  evict(): void {
    this.close('too_many_sockets')
    this.#wire.destroy()
  }

  /** The deadline has passed. */
  expire(): void {
    if (this.#state === 'open' && this.#inbound.packetEnds <= this.#context.now()) {
      this.close('packet_timeout')
      return
    }
    switch (this.#state) {
      case 'connecting':
        this.close('connect_timeout')
        break
      case 'admitting':
      case 'open':
        this.#stateEnds = Infinity
        // Acks that are on their way still count until the courier has stored what it has.
        if (this.#courier !== null) void this.#courier.close('token_expired')
        else if (this.#session === null) this.refuse(REFUSE_STORE)
        else this.close('token_expired')
        break
      case 'closing':
        this.#stateEnds = Infinity
        this.#wire.destroy()
        break
      case 'closed':
        break
    }
  }

  #endState(at: number): void {
    this.#stateEnds = at
    this.#context.deadlines.watch(this, this.#context.now())
  }

  /** Ends the connection from this side: what was written leaves, then the wire is closed. Idempotent. */
  close(reason: CloseReason): void {
    if (!this.alive) return
    this.finish(reason)
    void this.#courier?.ended()
  }

  /** As `close`, without telling the courier. */
  finish(reason: CloseReason): void {
    if (!this.alive) return
    const { limits, log } = this.#context
    this.#state = 'closing'
    this.#tally.ended(this, reason, this.#context.now(), log)
    this.#endState(this.#context.now() + limits.lingerMs)
    this.#context.door.isKnown(this)
    this.#context.door.keepsNothing(this)
    this.#inbound.stop()
    this.#stream.end()
    this.#ordinary?.end(this.#leaving)
    const bye = byeFor(reason)
    if (bye !== null) this.#transport?.sayBye(bye)
    this.#output.finish()
    if (reason === 'slow_consumer' || reason === 'too_many_sockets') this.#wire.destroy()
    else {
      this.#wire.finish()
      this.#context.door.lingers(this)
    }
  }
}
