// The composition of what serves devices: their couriers, and the listeners in front.

import { BrokerCounters, DrainCounters } from '../broker/counters.js'
import { createBroker, type Broker } from '../broker/create-broker.js'
import type { DevicePorts } from '../broker/listeners/create-listeners.js'
import { PubSubCounters } from '../broker/pubsub/counters.js'
import { UplinkCounters } from '../broker/uplink/uplink-counters.js'
import { stopReserveMs } from '../core/drain.js'
import { LOOPBACK_ORIGINS } from '../core/net/origins.js'
import { CourierCounters } from '../courier/courier-counters.js'
import { createCourierHost } from '../courier/create-courier-host.js'
import type { NodeParts } from './compose-node.js'
import { DELIVERY } from './metrics/delivery.js'
import { DRAIN } from './metrics/drain.js'
import { MQTT } from './metrics/mqtt.js'
import { PUBSUB } from './metrics/pubsub.js'
import { UPLINK } from './metrics/uplink.js'
import { tryAgain } from './try-again.js'

/** Joins the bus, and listens for devices. */
export async function startBroker(node: NodeParts): Promise<{ readonly broker: Broker; readonly ports: DevicePorts }> {
  const { config, certificates, store, bus, security, limits, metrics, lifecycle, drain, clock, clientLog: log } = node
  const courierCounters = new CourierCounters()
  const counters = new BrokerCounters()
  const drainCounters = new DrainCounters()
  const pubsubCounters = new PubSubCounters()
  const uplinkCounters = new UplinkCounters()
  metrics.expose([
    ...DELIVERY.of({ counters: courierCounters, monotonic: () => clock.monotonic() }),
    ...MQTT.of(counters),
    ...DRAIN.of(drainCounters),
    ...PUBSUB.of(pubsubCounters),
    ...UPLINK.of({ counters: uplinkCounters, uplink: store.uplink }),
  ])
  const couriers = createCourierHost({
    node: node.name,
    mailbox: store.mailbox,
    bus,
    clock,
    log,
    counters: courierCounters,
    measures: config.metrics === 'on',
    tracer: node.tracer,
    window: config.window,
    windowMax: config.windowMax,
    sweepIntervalMs: config.sweepInterval,
    // The bus and the store have to be closed too.
    stopTimeoutMs: stopReserveMs(config.drainDeadline) / 3,
  })
  await lifecycle.step(
    'couriers',
    () => tryAgain('the bus', () => couriers.start()),
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
    drainCounters,
    pubsubCounters,
    limits: limits.broker,
    pubsubLimits: limits.pubsub,
    sockets: limits.sockets,
    clock,
  })
  drain.add({
    refuse: () => broker.drain(),
    letGo: (hurry) => broker.letGo(config.drainRate, hurry),
  })
  const ports = await lifecycle.step(
    'broker',
    () => node.listening(() => broker.start()),
    () => broker.stop(),
  )
  return { broker, ports }
}
