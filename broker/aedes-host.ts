// Aedes, and what the broker tells it to do: who is let in, and that nothing of it reaches a device but CONNACK, PINGRESP
// and the packets of handshakes.

import type { EventEmitter } from 'node:events'
import { Aedes, type AuthenticateError, type Client, type ConnectPacket } from 'aedes'
import type { Clock } from '../core/clock.js'
import { RateTable } from '../core/limits/rate-table.js'
import type { Logger } from '../core/log.js'
import { randomId } from '../core/random-id.js'
import { isDeviceId } from '../protocol/device-id.js'
import { admit, type AdmissionOptions } from './admission.js'
import { AedesInternals } from './aedes-internals.js'
import { AedesStream } from './aedes-stream.js'
import { ConnectGate } from './connect-gate.js'
import {
  type ConnectExcess,
  type ConnectRequest,
  judgeConnect,
  judgeWillSize,
  REFUSE_GONE,
  REFUSE_STORE,
} from './connect-policy.js'
import type { ConnectionContext } from './connection-context.js'
import { Connection } from './connection.js'
import type { BrokerCounters } from './counters.js'
import { DeadlineWheel } from './deadline-wheel.js'
import type { Doorway } from './doorway.js'
import type { Leaver } from './drain-crew.js'
import { IntakeMemory } from './intake-memory.js'
import { TICK_MS, type BrokerLimits } from './limits.js'
import { MailboxPersistence } from './mailbox-persistence.js'
import { TurnFlusher } from './output.js'
import type { HandshakePersistence } from './pubsub/aedes-persistence.js'
import type { OrdinaryHub } from './pubsub/ordinary-hub.js'
import type { UplinkWriter } from './uplink/uplink-writer.js'
import { SilentEmitter } from './silent-emitter.js'
import { FramePackets } from './stream/frame-packets.js'
import type { Wire } from './wire.js'

export interface AedesHostOptions extends Omit<AdmissionOptions, 'mayConnect'> {
  /** Ordinary pub/sub; the host closes it. */
  readonly hub: OrdinaryHub
  readonly handshakes: HandshakePersistence
  readonly uplink: UplinkWriter
  readonly clock: Clock
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly limits: BrokerLimits
  readonly door: Doorway
}

export interface AedesHost {
  /** Takes a new wire. */
  accept(wire: Wire): void
  /** Ends a device's ordinary session, and its connection if it has that session. Rejects with StoreUnavailable. */
  forgetDevice(device: string): Promise<void>
  /** From now on every CONNECT is answered CONNACK 3. */
  drain(): void
  /** Every connection, also those without a CONNECT and those that are closing. */
  readonly connections: Iterable<Leaver>
  /** Closes every connection; resolves when all wires have closed. */
  stop(): Promise<void>
}

/** Starts Aedes. Rejects with StartupError when it is not the Aedes that the broker knows. */
export async function startAedesHost(options: AedesHostOptions): Promise<AedesHost> {
  const { clock, counters, hub, uplink, limits, door, log } = options
  const auth = options.tokens === null ? 'none' : 'token'
  const connections = new Set<Connection>()
  /** The admitted connection of each device; the newest one, while an older one is still closing. */
  const byDevice = new Map<string, Connection>()
  const gate = new ConnectGate(limits, clock.monotonic())
  const admission: AdmissionOptions = {
    ...options,
    mayConnect: (device) => gate.connectOf(device, clock.monotonic()),
  }
  let draining = false
  let allGone: (() => void) | null = null

  const aedes = new Aedes({
    mq: new SilentEmitter(),
    persistence: new MailboxPersistence({
      handshakes: options.handshakes,
      sessionPresent: (device) => byDevice.get(device)?.sessionPresent ?? false,
      unknownAck: () => counters.pubacksUnknown++,
      failed: (device) => byDevice.get(device)?.close('overload'),
    }),
    // Our own deadline comes first and knows the reason.
    connectTimeout: limits.connectTimeoutMs + 4 * TICK_MS,
    // Nothing ever waits for a drain: the stream's write always answers true.
    drainTimeout: 0,
    preConnect: (client, packet, callback) => callback(null, preConnect(client, packet)),
    authenticate: (client, _username, password, callback) => {
      authenticate(client, password ?? null, callback).catch((err: unknown) => {
        log.error({ err }, 'admission failed')
        connectionOf(client)?.close('overload')
      })
    },
    // Subscriptions, publishes and wills are the hub's and the couriers': Aedes sees none of them.
    authorizeSubscribe: (_client, _subscription, callback) => callback(null, null),
    authorizePublish: (_client, _packet, callback) => callback(new Error('publishing is not allowed')),
  })
  await aedes.listen()
  const internals = await inspect(aedes)
  aedes.on('client', (client) => {
    // A connection that ended on the way to its CONNACK: Aedes registers it all the same, and would keep it.
    if (connectionOf(client)?.alive === false) setImmediate(() => internals.forget(client))
  })
  aedes.on('clientReady', (client) => connectionOf(client)?.opened())
  aedes.on('keepaliveTimeout', (client) => connectionOf(client)?.close('keepalive_timeout'))
  const emitter: EventEmitter = aedes
  emitter.on('error', (err: unknown) => log.error({ err }, 'Aedes failed'))

  const context: ConnectionContext = {
    internals,
    hub,
    uplink,
    flusher: new TurnFlusher(),
    limits,
    counters,
    log,
    door,
    frames: new FramePackets(),
    random: Math.random,
    deadlines: new DeadlineWheel(TICK_MS, clock.monotonic()),
    intakes: new IntakeMemory(limits),
    publishesOfAddresses: new RateTable(limits.publishesPerAddress),
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    gone(connection) {
      connections.delete(connection)
      context.deadlines.forget(connection)
      counters.sockets--
      if (connection.admitted) gate.leave(connection.peer.address)
      const { device } = connection
      if (device !== null && byDevice.get(device) === connection) byDevice.delete(device)
      if (connections.size === 0 && allGone !== null) allGone()
    },
  }

  const tick = setInterval(() => context.deadlines.advance(clock.monotonic(), clock.now()), TICK_MS)

  /** What needs no waiting. False: refused, Aedes goes no further. */
  function preConnect(client: Client, packet: ConnectPacket): boolean {
    const connection = connectionOf(client)
    if (connection === null) return false
    if (packet.password !== undefined && packet.username === undefined) {
      connection.violated('password_without_username') // [MQTT-3.1.2-22]
      return false
    }
    const request = readConnect(packet)
    const { address } = connection.peer
    const over = (): ConnectExcess | null => gate.connect(address, clock.monotonic())
    const refusal = judgeConnect(request, { draining, over }, auth) ?? judgeWillSize(request, limits)
    if (refusal !== null) {
      connection.refuse(refusal)
      return false
    }
    // A name for who has none [MQTT-3.1.3-6]; outside the device pattern, so that it makes no mailbox.
    if (packet.clientId === '') packet.clientId = `~${randomId()}`
    // The will is ours: Aedes would publish it past the hub.
    delete packet.will
    connection.device = packet.clientId
    connection.request = { ...request, clientId: packet.clientId }
    connection.admitted = true
    gate.enter(address)
    return true
  }

  /** Token, claim and session, before Aedes registers the client. */
  async function authenticate(
    client: Client,
    password: Uint8Array | null,
    callback: (error: AuthenticateError | null, ok: boolean) => void,
  ): Promise<void> {
    const connection = connectionOf(client)
    const request = connection?.request ?? null
    if (connection === null || request === null) return callback(refused(), false)
    connection.request = null
    const device = request.clientId
    const transport = isDeviceId(device) ? connection.makeTransport(device) : null
    const { certificate } = connection.peer
    const answer = await admit(
      { ...request, password, certificate, transport, isAlive: () => connection.alive },
      admission,
    )
    if (!answer.ok || !connection.alive) {
      if (answer.ok) await answer.courier?.ended()
      connection.refuse(answer.ok ? REFUSE_GONE : answer.refusal)
      return callback(refused(), false)
    }
    const { courier, expiresAt, acl } = answer
    // Without a courier there is no claim that has ended an older connection [MQTT-3.1.4-2].
    if (courier === null) byDevice.get(device)?.close('taken_over')
    byDevice.set(device, connection)
    const mailbox = courier === null || transport === null ? null : { courier, transport }
    try {
      await connection.admit({ device, mailbox, acl, clean: request.clean, expiresAt, will: request.will })
    } catch (err) {
      log.warn({ device, err }, 'the session of a device could not be taken up')
      connection.refuse(REFUSE_STORE)
    }
    if (!connection.alive) {
      connection.refuse(REFUSE_GONE)
      return callback(refused(), false)
    }
    callback(null, true)
  }

  return {
    accept(wire) {
      if (draining && allGone !== null) return wire.destroy()
      counters.sockets++
      const connection = new Connection(wire, context)
      connections.add(connection)
      door.comes(connection)
    },
    async forgetDevice(device) {
      await hub.end(device)
    },
    drain() {
      draining = true
    },
    connections,
    async stop() {
      draining = true
      for (const connection of connections) connection.close('shutdown')
      await new Promise<void>((resolve) => {
        allGone = resolve
        if (connections.size === 0) resolve()
      })
      clearInterval(tick)
      await new Promise<void>((resolve) => aedes.close(resolve))
      await uplink.settled()
      await hub.close()
    },
  }
}

function readConnect({ clientId, username, clean, will }: ConnectPacket): ConnectRequest {
  return {
    clientId,
    username,
    clean: clean !== false,
    will:
      will === undefined
        ? null
        : { topic: will.topic, payload: Buffer.from(will.payload), qos: will.qos ?? 0, retain: will.retain === true },
  }
}

async function inspect(aedes: Aedes): Promise<AedesInternals> {
  try {
    return AedesInternals.inspect(aedes)
  } catch (error) {
    await new Promise<void>((resolve) => aedes.close(resolve))
    throw error
  }
}

function connectionOf(client: Client): Connection | null {
  const stream: unknown = client.conn
  return stream instanceof AedesStream && stream.owner instanceof Connection ? stream.owner : null
}

/** The CONNACK has been written by the connection; Aedes only has to stop. */
function refused(): AuthenticateError {
  return Object.assign(new Error('refused'), { returnCode: 5 })
}
