// A real node without its REST side: embedded store, local bus, couriers, broker. `push` is what the API does with a message.

import type { Test } from 'tap'
import { PubSubCounters } from '../../../broker/pubsub/counters.js'
import { createBroker, type Broker, type BrokerOptions } from '../../../broker/create-broker.js'
import { BrokerCounters } from '../../../broker/counters.js'
import { UplinkCounters } from '../../../broker/uplink/uplink-counters.js'
import { createLocalBus } from '../../../core/bus/local/local-bus.js'
import { systemClock } from '../../../core/clock.js'
import { UNLIMITED } from '../../../core/limits/token-bucket.js'
import { createLogger } from '../../../core/log.js'
import type { NewMessage } from '../../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox } from '../../../core/ports/mailbox.js'
import type { Uplink, UplinkLimits } from '../../../core/ports/uplink.js'
import { createDeviceTokens, type DeviceTokens } from '../../../core/security/device-tokens.js'
import type { Acl } from '../../../protocol/acl.js'
import { openLmdbStore, type LmdbStore } from '../../../core/stores/lmdb/open.js'
import type { Certificates } from '../../../core/tls/certificates.js'
import type { CourierHost } from '../../../courier/courier-api.js'
import { CourierCounters } from '../../../courier/courier-counters.js'
import { createCourierHost, type CourierHostOptions } from '../../../courier/create-courier-host.js'

export interface TestNode {
  /** Ports; 0: off. */
  readonly mqtt: number
  readonly ws: number
  readonly mqtts: number
  readonly wss: number
  readonly broker: Broker
  readonly couriers: CourierHost
  readonly mailbox: Mailbox
  readonly store: LmdbStore
  readonly tokens: DeviceTokens
  readonly counters: BrokerCounters
  readonly courierCounters: CourierCounters
  readonly pubsubCounters: PubSubCounters
  readonly uplinkCounters: UplinkCounters
  token(device: string, ttlSeconds?: number, acl?: Partial<Acl>): Promise<string>
  /** What the API does when a device is deleted. */
  kick(device: string, claimId: string, reason: 'taken_over' | 'revoked'): Promise<boolean>
  /** Appends texts in one call and sends the notices; the first and last seq. */
  push(device: string, ...payloads: Array<string | Uint8Array>): Promise<{ first: number; last: number }>
  /** The same for messages with dedup ids, each of which is its own text too. */
  pushNamed(device: string, ...dedupIds: readonly string[]): Promise<{ first: number; last: number }>
  /** Idempotent; also done at the end of the test. */
  stop(): Promise<void>
}

export interface TestNodeOptions {
  readonly courier?: Partial<CourierHostOptions>
  readonly broker?: Partial<
    Pick<
      BrokerOptions,
      | 'limits'
      | 'pubsubLimits'
      | 'sessions'
      | 'tokens'
      | 'credentials'
      | 'proxyProtocol'
      | 'trustedProxies'
      | 'origins'
      | 'log'
      | 'clock'
    >
  >
  /** The certificate of the listeners with TLS, which are on with it. */
  readonly certificates?: Certificates
  readonly couriers?: (couriers: CourierHost) => Pick<CourierHost, 'open'>
  readonly inboxMax?: number
  readonly overflow?: 'reject' | 'drop-oldest'
  readonly uplinkLimits?: Partial<UplinkLimits>
  /** Puts something between the broker and the real uplink. */
  readonly wrapUplink?: (uplink: Uplink) => Pick<Uplink, 'append'>
  /** The data folder, for a node after another one. */
  readonly folder?: string
}

const SECRET = Buffer.alloc(32, 's')

/** Starts a node that is stopped at the end of `t`. */
export async function startNode(t: Test, options: TestNodeOptions = {}): Promise<TestNode> {
  const log = createLogger({ level: 'silent' })
  const limits = {
    ...DEFAULT_MAILBOX_LIMITS,
    inboxMax: options.inboxMax ?? 20_000,
    overflow: options.overflow ?? 'reject',
  }
  const store = await openLmdbStore({
    path: options.folder ?? t.testdir({}),
    durability: 'process',
    limits,
    uplinkLimits: options.uplinkLimits ?? {},
    log,
  })
  const { mailbox, credentials, sessions, uplink } = store
  const bus = createLocalBus()
  const tokens = createDeviceTokens({ secrets: [SECRET], maxTtlSeconds: 3_600, clock: systemClock })
  const counters = new BrokerCounters()
  const courierCounters = new CourierCounters()
  const pubsubCounters = new PubSubCounters()
  const uplinkCounters = new UplinkCounters()
  const couriers = createCourierHost({ node: 'n1', mailbox, bus, log, counters: courierCounters, ...options.courier })
  await couriers.start()
  const broker = createBroker({
    host: '127.0.0.1',
    mqttPort: 0,
    wsPort: 0,
    couriers: options.couriers?.(couriers) ?? couriers,
    tokens,
    credentials,
    sessions,
    uplink: options.wrapUplink?.(uplink) ?? uplink,
    uplinkCounters,
    pubsubCounters,
    log,
    counters,
    tls: options.certificates === undefined ? null : { certificates: options.certificates, mqttsPort: 0, wssPort: 0 },
    ...options.broker,
    // Tests connect one device as often as they like.
    limits: { connectsPerDevice: UNLIMITED, ...options.broker?.limits },
  })
  const { mqtt = 0, ws = 0, mqtts = 0, wss = 0 } = await broker.start()
  let stopped: Promise<void> | null = null
  const stop = async (): Promise<void> => {
    broker.drain()
    await couriers.stop()
    await broker.stop()
    await bus.close()
    await store.close()
  }
  t.teardown(() => (stopped ??= stop()))

  const append = async (device: string, items: readonly NewMessage[]): Promise<{ first: number; last: number }> => {
    const results = await mailbox.append(items)
    let first = 0
    let last = 0
    results.forEach((result, i) => {
      const item = items[i]
      if (!result.ok || item === undefined) throw new Error(`push refused: ${result.ok ? '' : result.code}`)
      if (first === 0) first = result.seq
      last = result.seq
      const { seq, at, expiresAt, epoch, owner } = result
      if (owner === null) return
      const { device: _device, ttl: _ttl, ...rest } = item
      bus.notify(owner.node, [{ device, epoch, claimId: owner.claimId, message: { ...rest, seq, at, expiresAt } }])
    })
    return { first, last }
  }
  return {
    mqtt,
    ws,
    mqtts,
    wss,
    broker,
    couriers,
    mailbox,
    store,
    tokens,
    counters,
    courierCounters,
    pubsubCounters,
    uplinkCounters,
    token: async (device, ttlSeconds = 600, acl) => (await tokens.sign(device, ttlSeconds, acl)).token,
    stop: () => (stopped ??= stop()),
    kick: (device, claimId, reason) => bus.kick('n1', { device, claimId, reason }, 1_000),
    push: (device, ...payloads) =>
      append(
        device,
        payloads.map((payload) => newMessage(device, payload)),
      ),
    pushNamed: (device, ...dedupIds) =>
      append(
        device,
        dedupIds.map((dedupId) => ({ ...newMessage(device, dedupId), dedupId })),
      ),
  }
}

function newMessage(device: string, payload: string | Uint8Array): NewMessage {
  return {
    device,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    contentType: 'text/plain',
    attributes: null,
    dedupId: null,
    ttl: null,
    priority: 'normal',
  }
}

/** Waits until `condition` holds; rejects after `ms`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
