// The composition of what serves devices: their couriers, and the listeners in front.

import { BrokerCounters } from '../broker/counters.js'
import { createBroker, type Broker } from '../broker/create-broker.js'
import type { DevicePorts } from '../broker/listeners/create-listeners.js'
import { PubSubCounters } from '../broker/pubsub/counters.js'
import { UplinkCounters } from '../broker/uplink/uplink-counters.js'
import { LOOPBACK_ORIGINS } from '../core/net/origins.js'
import { CourierCounters } from '../courier/courier-counters.js'
import { createCourierHost } from '../courier/create-courier-host.js'
import type { NodeParts } from './compose-node.js'
import { brokerMetrics, courierMetrics, pubsubMetrics, uplinkMetrics } from './metric-tables.js'

/** Joins the bus, and listens for devices. */
export async function startBroker(node: NodeParts): Promise<{ readonly broker: Broker; readonly ports: DevicePorts }> {
  const { config, certificates, store, bus, security, limits, metrics, lifecycle, clock, clientLog: log } = node
  const courierCounters = new CourierCounters()
  const counters = new BrokerCounters()
  const pubsubCounters = new PubSubCounters()
  const uplinkCounters = new UplinkCounters()
  metrics.expose([
    ...courierMetrics(courierCounters),
    ...brokerMetrics(counters),
    ...pubsubMetrics(pubsubCounters),
    ...uplinkMetrics(uplinkCounters, store.uplink),
  ])
  const couriers = createCourierHost({
    node: node.name,
    mailbox: store.mailbox,
    bus,
    clock,
    log,
    counters: courierCounters,
    window: config.window,
    windowMax: config.windowMax,
    sweepIntervalMs: config.sweepInterval,
  })
  await lifecycle.step(
    'couriers',
    () => couriers.start(),
    () => couriers.stop(),
  )
  const broker = createBroker({
    host: config.host,
    mqttPort: config.mqttPort,
    wsPort: config.wsPort,
    tls: certificates === null ? null : { certificates, mqttsPort: config.mqttsPort, wssPort: config.wssPort },
    proxyProtocol: config.proxyProtocol,
    trustedProxies: node.proxies,
    origins: node.origins ?? (config.auth === 'none' ? LOOPBACK_ORIGINS : null),
    couriers,
    tokens: security.tokens,
    credentials: store.credentials,
    sessions: store.sessions,
    uplink: store.uplink,
    uplinkCounters,
    log,
    counters,
    pubsubCounters,
    limits: limits.broker,
    pubsubLimits: limits.pubsub,
    sockets: limits.sockets,
    clock,
  })
  const ports = await lifecycle.step(
    'broker',
    () => node.listening(() => broker.start()),
    () => broker.stop(),
  )
  return { broker, ports }
}
