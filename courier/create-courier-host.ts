import { LiveNodes } from '../core/live-nodes.js'
import { type Clock, systemClock } from '../core/clock.js'
import type { Logger } from '../core/log.js'
import type { Bus } from '../core/ports/bus.js'
import type { Mailbox } from '../core/ports/mailbox.js'
import { randomId } from '../core/random-id.js'
import type { Tracer } from '../core/tracing/tracer.js'
import { AckFlusher } from './ack-flusher.js'
import type { CourierHost } from './courier-api.js'
import { CourierCounters } from './courier-counters.js'
import { NodeCourierHost } from './courier-host.js'
import type { HostedCourier } from './hosted-courier.js'
import type { NodeServices } from './node-services.js'
import { ReadPump } from './read-pump.js'
import { PACKET_IDS } from './send-window.js'
import { StoreContact } from './store-contact.js'
import { Sweeper } from './sweeper.js'

/** Defaults of the settings in CourierHostOptions. */
export const COURIER_DEFAULTS = {
  window: 64,
  windowMax: 1024,
  windowBytes: 1024 * 1024,
  pageMessages: 64,
  pageBytes: 256 * 1024,
  maxReads: 128,
  bufferLimit: 256 * 1024,
  fullBufferMs: 10_000,
  unackedMs: 100_000,
  helloMs: 10_000,
  ackDelayMs: 150,
  sweepIntervalMs: 10_000,
  kickTimeoutMs: 250,
  unconfirmedMs: 3_000,
  closeGraceMs: 1_000,
  stopTimeoutMs: 10_000,
  tickMs: 500,
} as const

export interface CourierHostOptions {
  /** This node's name on the bus and in claims; unique among live nodes. */
  readonly node: string
  readonly mailbox: Mailbox
  readonly bus: Bus
  readonly log: Logger
  /** Default: the system's. */
  readonly clock?: Clock
  /** Claim ids: never the same twice, on any node. Default: 64 random bits. */
  readonly randomId?: () => string
  /** 0 ≤ x < 1, for packet ids and backoff. Default: Math.random. */
  readonly random?: () => number
  /** Default: a new one, out of sight. */
  readonly counters?: CourierCounters
  /** Whether the time that each message takes is measured. Default true. */
  readonly measures?: boolean
  /** Makes a span of each delivery whose message is traced. Default null: none. */
  readonly tracer?: Tracer | null
  /** Messages in flight to one device, 1–1,024. Default 64. */
  readonly window?: number
  /** The most messages in flight that a stream device may ask for, 1–32,768. Default 1,024. */
  readonly windowMax?: number
  /** Bytes in flight to one device (by `messageSize`); one message always fits. Default 1 MiB. */
  readonly windowBytes?: number
  /** Messages of one page. Default: 64, or the window if that is larger. */
  readonly pageMessages?: number
  /** Bytes of one page; one message always fits. Default 256 KiB. */
  readonly pageBytes?: number
  /** Pages being read at one time, node-wide. Default 128. */
  readonly maxReads?: number
  /** Bytes buffered for a slow socket, at which the courier stops writing there (G8). Default 256 KiB. */
  readonly bufferLimit?: number
  /** Milliseconds without a byte leaving a full buffer after which the connection is closed. Default 10,000. */
  readonly fullBufferMs?: number
  /**
   * Milliseconds with messages in flight and no byte from the device, until the connection is closed. Default 100,000:
   * longer than 1.5 times a usual keep-alive of 60 s, so that a device that is slow and lives has pinged by then.
   */
  readonly unackedMs?: number
  /** Milliseconds that a stream device has for its hello. Default 10,000. */
  readonly helloMs?: number
  /** Milliseconds that an ack waits for others before it is stored. Default 150: with the store's time at most 200. */
  readonly ackDelayMs?: number
  /** Milliseconds within which a message whose notice was lost is found (G9). Default 10,000. */
  readonly sweepIntervalMs?: number
  /** Milliseconds that the present owner of a device has to flush and release. Default 250. */
  readonly kickTimeoutMs?: number
  /** Milliseconds without an answer of the store after which nothing is sent until claims are confirmed (G7). Default 3,000. */
  readonly unconfirmedMs?: number
  /** Milliseconds for which a closing connection waits for its acks to be stored before its socket ends. Default 1,000. */
  readonly closeGraceMs?: number
  /** Milliseconds for which `stop` waits for a store that does not take the last acks. Default 10,000. */
  readonly stopTimeoutMs?: number
  /** Milliseconds between two looks at all deadlines. Default 500. */
  readonly tickMs?: number
}

/** The couriers of one node. Call `start` before the listeners open, `stop` after they have closed. */
export function createCourierHost(options: CourierHostOptions): CourierHost {
  const settings = { ...COURIER_DEFAULTS, ...options }
  const { node, mailbox, bus, log } = settings
  const clock = options.clock ?? systemClock
  const random = options.random ?? Math.random
  const counters = options.counters ?? new CourierCounters()
  checkSettings(settings)

  const couriers = new Map<string, HostedCourier>()
  const aside = new Map<string, HostedCourier>()
  const get = (): NodeServices => services
  const sweeper = new Sweeper(get, couriers, settings.sweepIntervalMs)
  const services: NodeServices = {
    node,
    mailbox,
    clock,
    random,
    log,
    counters,
    measures: options.measures ?? true,
    tracer: options.tracer ?? null,
    machine: {
      counters,
      limits: {
        window: settings.window,
        windowMax: settings.windowMax,
        windowBytes: settings.windowBytes,
        pageMessages: options.pageMessages ?? Math.max(settings.window, COURIER_DEFAULTS.pageMessages),
        pageBytes: settings.pageBytes,
        bufferLimit: settings.bufferLimit,
        fullBufferMs: settings.fullBufferMs,
        unackedMs: settings.unackedMs,
        helloMs: settings.helloMs,
      },
    },
    contact: new StoreContact({
      clock,
      limitMs: settings.unconfirmedMs,
      onLost() {
        counters.unconfirmedHolds++
        log.warn({ devices: couriers.size }, 'claims could not be confirmed in time: nothing is sent until they are')
        for (const courier of couriers.values()) courier.machine.unconfirmed()
      },
      onBack() {
        sweeper.now()
      },
    }),
    flusher: new AckFlusher(get, settings.ackDelayMs),
    reads: new ReadPump(get, settings.maxReads),
    sweeper,
    closeGraceMs: settings.closeGraceMs,
    leaving(courier) {
      if (couriers.get(courier.device) === courier) couriers.delete(courier.device)
      aside.set(courier.claimId, courier)
    },
    left(courier) {
      aside.delete(courier.claimId)
    },
  }
  return new NodeCourierHost({
    services,
    bus,
    nodes: new LiveNodes(bus, clock),
    newClaimId: options.randomId ?? randomId,
    kickTimeoutMs: settings.kickTimeoutMs,
    tickMs: settings.tickMs,
    pingMs: Math.min(1_000, settings.unconfirmedMs / 3),
    stopTimeoutMs: settings.stopTimeoutMs,
    couriers,
    aside,
  })
}

function checkSettings({
  window,
  windowMax,
  sweepIntervalMs,
  tickMs,
}: Required<Pick<CourierHostOptions, 'window' | 'windowMax' | 'sweepIntervalMs' | 'tickMs'>>): void {
  if (!Number.isInteger(window) || window < 1 || window > 1024) throw new RangeError('window must be 1 to 1024')
  if (!Number.isInteger(windowMax) || windowMax < 1 || windowMax > PACKET_IDS) {
    throw new RangeError(`windowMax must be 1 to ${PACKET_IDS}`)
  }
  if (!(sweepIntervalMs > 0)) throw new RangeError('sweepIntervalMs must be above 0')
  if (!(tickMs > 0)) throw new RangeError('tickMs must be above 0')
}
