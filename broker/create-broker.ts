// The composition of the broker: listeners in front of the Aedes host.

import { systemClock, type Clock } from '../core/clock.js'
import { SocketBudget } from '../core/limits/socket-budget.js'
import type { Credentials } from '../core/ports/credentials.js'
import type { SessionStore } from '../core/ports/session-store.js'
import type { SharedSessions } from '../core/ports/shared-sessions.js'
import type { Uplink } from '../core/ports/uplink.js'
import type { DeviceTokens } from '../core/security/device-tokens.js'
import type { CourierHost } from '../courier/courier-api.js'
import { startAedesHost, type AedesHost } from './aedes-host.js'
import { BrokerCounters, DrainCounters } from './counters.js'
import { Doorway } from './doorway.js'
import { DrainCrew } from './drain-crew.js'
import { DEFAULT_BROKER_LIMITS, type BrokerLimits } from './limits.js'
import {
  createListeners,
  type DeviceListeners,
  type DevicePorts,
  type ListenerOptions,
} from './listeners/create-listeners.js'
import { Entrance } from './listeners/entrance.js'
import { PubSubCounters } from './pubsub/counters.js'
import { DEFAULT_PUBSUB_LIMITS, type PubSubLimits } from './pubsub/limits.js'
import { openHub } from './pubsub/open-hub.js'
import { UplinkCounters } from './uplink/uplink-counters.js'
import { UplinkWriter } from './uplink/uplink-writer.js'

export interface BrokerOptions extends ListenerOptions {
  readonly couriers: Pick<CourierHost, 'open'>
  /** Null: `--auth none`. */
  readonly tokens: Pick<DeviceTokens, 'verify'> | null
  readonly credentials: Pick<Credentials, 'revokedAt'>
  /** What ordinary pub/sub keeps. */
  readonly sessions: SessionStore | SharedSessions
  readonly uplink: Pick<Uplink, 'append'>
  readonly counters?: BrokerCounters
  readonly drainCounters?: DrainCounters
  readonly limits?: Partial<BrokerLimits>
  /** Shared with the other listeners of the process. Default: no limit. */
  readonly sockets?: SocketBudget
  readonly pubsubCounters?: PubSubCounters
  readonly uplinkCounters?: UplinkCounters
  readonly pubsubLimits?: Partial<PubSubLimits>
  readonly clock?: Clock
}

export interface Broker {
  /** Listens; the ports that are on. Rejects with StartupError. */
  start(): Promise<DevicePorts>
  /** Forgets what ordinary pub/sub keeps of a device that is deleted. Rejects with StoreUnavailable. */
  forgetDevice(device: string): Promise<void>
  /** Refuses new devices with CONNACK 3; those that are connected stay. */
  drain(): void
  /**
   * Takes no connections any more, and lets go of those that there are, `perSecond` of them (0: all at once), idle ones first;
   * each is told to come back elsewhere. Resolves when no device is connected. When `hurry` is aborted the rest goes at once.
   * `drain` comes first, `stop` afterwards.
   */
  letGo(perSecond: number, hurry: AbortSignal): Promise<void>
  /** Stops accepting and closes the sockets that are left. Idempotent. */
  stop(): Promise<void>
}

const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

export function createBroker(options: BrokerOptions): Broker {
  const counters = options.counters ?? new BrokerCounters()
  const drainCounters = options.drainCounters ?? new DrainCounters()
  const limits = { ...DEFAULT_BROKER_LIMITS, ...options.limits }
  const clock = options.clock ?? systemClock
  const sockets = options.sockets ?? new SocketBudget(Infinity)
  const door = new Doorway(limits, sockets)
  const entrance = new Entrance({
    door,
    maxHandshakes: limits.maxHandshakes,
    patienceMs: limits.handshakePatienceMs,
    timeoutMs: limits.connectTimeoutMs,
    counters: counters.entrance,
    now: () => clock.monotonic(),
  })
  sockets.addRoom(entrance)
  let running: AedesHost | null = null
  let listeners: DeviceListeners = new Map()
  let stopped: Promise<void> | null = null

  async function stop(): Promise<void> {
    for (const listener of listeners.values()) listener.close()
    entrance.clear()
    await running?.stop()
  }

  return {
    async start() {
      const uplink = new UplinkWriter({
        uplink: options.uplink,
        clock,
        log: options.log,
        counters: options.uplinkCounters ?? new UplinkCounters(),
        timeoutMs: limits.uplinkTimeoutMs,
        maxBytes: limits.maxUplinkBytes,
        perDevice: limits.uplinkPerDevice,
      })
      const { hub, handshakes, begin } = await openHub({
        sessions: options.sessions,
        uplinkWill: (device, channel, payload) => uplink.will(device, channel, payload),
        clock,
        log: options.log,
        limits: { ...DEFAULT_PUBSUB_LIMITS, ...options.pubsubLimits },
        counters: options.pubsubCounters ?? new PubSubCounters(),
      })
      const aedes = await startAedesHost({ ...options, hub, handshakes, uplink, counters, limits, clock, door })
      await begin()
      running = aedes
      listeners = createListeners(options, { door, entrance, counters, limits, accept: (wire) => aedes.accept(wire) })
      const ports: Array<[keyof DevicePorts, number]> = []
      try {
        for (const [name, listener] of listeners) ports.push([name, await listener.listen()])
        return Object.fromEntries(ports)
      } catch (error) {
        await (stopped ??= stop())
        throw error
      }
    },
    async forgetDevice(device) {
      await running?.forgetDevice(device)
    },
    drain() {
      running?.drain()
    },
    async letGo(perSecond, hurry) {
      if (running === null) return
      // What the operating system has accepted already comes in now, and is answered.
      await nextTurn()
      await nextTurn()
      for (const listener of listeners.values()) listener.close()
      const { connections } = running
      await new DrainCrew({ connections, perSecond, counters: drainCounters, clock }).run(hurry)
    },
    stop: () => (stopped ??= stop()),
  }
}
