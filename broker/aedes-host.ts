// Aedes, and what the broker tells it to do: who is let in, and that nothing of it reaches a device but CONNACK, PINGRESP
// and acknowledgements.

import type { EventEmitter } from 'node:events'
import { Aedes, type AuthenticateError, type Client, type ConnectPacket } from 'aedes'
import type { Clock } from '../core/clock.js'
import type { Logger } from '../core/log.js'
import { admit, type AdmissionOptions } from './admission.js'
import { AedesInternals } from './aedes-internals.js'
import { AedesStream } from './aedes-stream.js'
import { judgeConnect, REFUSE_GONE } from './connect-policy.js'
import { ConnectRate } from './connect-rate.js'
import { Connection, type ConnectionContext } from './connection.js'
import type { BrokerCounters } from './counters.js'
import { TICK_MS, type BrokerLimits } from './limits.js'
import { MailboxPersistence } from './mailbox-persistence.js'
import { TurnFlusher } from './output.js'
import { SilentEmitter } from './silent-emitter.js'
import type { Wire } from './wire.js'

export interface AedesHostOptions extends AdmissionOptions {
  readonly clock: Clock
  readonly log: Logger
  readonly counters: BrokerCounters
  readonly limits: BrokerLimits
}

export interface AedesHost {
  /** Takes a new wire. */
  accept(wire: Wire): void
  /** From now on every CONNECT is answered CONNACK 3. */
  drain(): void
  /** Closes every connection; resolves when all wires have closed. */
  stop(): Promise<void>
}

/** Starts Aedes. Rejects with StartupError when it is not the Aedes that the broker knows. */
export async function startAedesHost(options: AedesHostOptions): Promise<AedesHost> {
  const { clock, counters, limits, log } = options
  const connections = new Set<Connection>()
  /** The admitted connection of each device; the newest one, while an older one is still closing. */
  const byDevice = new Map<string, Connection>()
  const rate = new ConnectRate(limits.connectsPerSecond)
  let admitted = 0
  let draining = false
  let allGone: (() => void) | null = null

  const aedes = new Aedes({
    mq: new SilentEmitter(),
    persistence: new MailboxPersistence(
      (device) => byDevice.get(device)?.restored ?? null,
      () => counters.pubacksUnknown++,
    ),
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
    // Only restored mailbox filters come here; they are the couriers', so Aedes subscribes to nothing.
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
    flusher: new TurnFlusher(),
    limits,
    counters,
    log,
    now: () => clock.now(),
    gone(connection) {
      connections.delete(connection)
      counters.sockets--
      if (connection.admitted) admitted--
      const { device } = connection
      if (device !== null && byDevice.get(device) === connection) byDevice.delete(device)
      if (connections.size === 0 && allGone !== null) allGone()
    },
  }

  const tick = setInterval(() => {
    const now = clock.now()
    for (const connection of connections) if (connection.deadline <= now) connection.expire()
  }, TICK_MS)

  /** What needs no waiting. False: refused, Aedes goes no further. */
  function preConnect(client: Client, packet: ConnectPacket): boolean {
    const connection = connectionOf(client)
    if (connection === null) return false
    if (packet.password !== undefined && packet.username === undefined) {
      connection.violated('password_without_username') // [MQTT-3.1.2-22]
      return false
    }
    const request = { clientId: packet.clientId, username: packet.username, hasWill: packet.will !== undefined }
    const overloaded = admitted >= limits.maxConnections || !rate.take(clock.monotonic())
    const refusal = judgeConnect(request, { draining, overloaded })
    if (refusal !== null) {
      connection.refuse(refusal)
      return false
    }
    connection.device = packet.clientId
    connection.request = { ...request, clean: packet.clean !== false }
    connection.admitted = true
    admitted++
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
    const transport = connection.makeTransport(device)
    const admission = await admit({ ...request, password, transport, isAlive: () => connection.alive }, options)
    if (!admission.ok || !connection.alive) {
      if (admission.ok) await admission.courier.ended()
      connection.refuse(admission.ok ? REFUSE_GONE : admission.refusal)
      return callback(refused(), false)
    }
    byDevice.set(device, connection)
    connection.admit(admission.courier, transport, request.clean, admission.expiresAt, admission.acl)
    callback(null, true)
  }

  return {
    accept(wire) {
      if (draining && allGone !== null) return wire.destroy()
      if (connections.size >= limits.maxConnections + limits.maxStrangers) {
        counters.closes.too_many_sockets++
        return wire.destroy()
      }
      counters.sockets++
      connections.add(new Connection(wire, context))
    },
    drain() {
      draining = true
    },
    async stop() {
      draining = true
      for (const connection of connections) connection.close('shutdown')
      await new Promise<void>((resolve) => {
        allGone = resolve
        if (connections.size === 0) resolve()
      })
      clearInterval(tick)
      await new Promise<void>((resolve) => aedes.close(resolve))
    },
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
