// The device listeners of a broker.

import type { Logger } from '../../core/log.js'
import type { AllowedOrigins } from '../../core/net/origins.js'
import { NO_PROXIES, type TrustedProxies } from '../../core/net/trusted-proxies.js'
import type { Certificates } from '../../core/tls/certificates.js'
import type { BrokerCounters } from '../counters.js'
import type { Doorway } from '../doorway.js'
import type { BrokerLimits } from '../limits.js'
import type { Wire } from '../wire.js'
import type { DeviceListener } from './device-listener.js'
import type { Entrance } from './entrance.js'
import { createTcpListener } from './tcp.js'
import { createWebSocketListener } from './websocket.js'

/** The device listeners that are on. */
export interface DevicePorts {
  readonly mqtt?: number
  readonly mqtts?: number
  readonly ws?: number
  readonly wss?: number
}

export type DeviceListeners = ReadonlyMap<keyof DevicePorts, DeviceListener>

export interface ListenerOptions {
  readonly host: string
  /** Null: off. 0: any free port. */
  readonly mqttPort: number | null
  readonly wsPort: number | null
  /** The server's certificate; null: no listener with TLS. */
  readonly tls?: {
    readonly certificates: Certificates
    /** Null: off. 0: any free port. */
    readonly mqttsPort: number | null
    readonly wssPort: number | null
  } | null
  /** Every connection begins with a PROXY header. */
  readonly proxyProtocol?: boolean
  /** The proxies whose word about addresses counts. Null: nobody's X-Forwarded-For, anybody's PROXY header (if that is on). */
  readonly trustedProxies?: TrustedProxies | null
  /** Web pages that may connect over WebSocket; null: all. */
  readonly origins?: AllowedOrigins | null
  readonly log: Logger
}

export interface ListenerParts {
  readonly door: Doorway
  readonly entrance: Entrance
  readonly counters: BrokerCounters
  readonly limits: BrokerLimits
  accept(this: void, wire: Wire): void
}

/** Those that are on, by their name in the ready line. */
export function createListeners(
  options: ListenerOptions,
  { door, entrance, counters, limits, accept }: ListenerParts,
): DeviceListeners {
  const { host, log, mqttPort, wsPort, tls = null, trustedProxies = null, origins = null } = options
  const shared = {
    host,
    log,
    door,
    entrance,
    proxyProtocol: options.proxyProtocol === true ? { trusted: trustedProxies } : null,
    onBytesOut: (bytes: number): void => {
      counters.bytesOut += bytes
    },
    accept,
  }
  const web = {
    ...shared,
    trustedProxies: trustedProxies ?? NO_PROXIES,
    origins,
    maxMessageBytes: Math.max(limits.maxPublishBytes, limits.maxControlBytes) + 5,
  }
  const certificates = tls?.certificates ?? null
  const { mqttsPort = null, wssPort = null } = tls ?? {}
  const listeners = new Map<keyof DevicePorts, DeviceListener>()
  if (mqttPort !== null) {
    listeners.set('mqtt', createTcpListener({ ...shared, what: 'MQTT', port: mqttPort, certificates: null }))
  }
  if (mqttsPort !== null) {
    listeners.set('mqtts', createTcpListener({ ...shared, what: 'MQTT over TLS', port: mqttsPort, certificates }))
  }
  if (wsPort !== null) {
    const what = 'MQTT over WebSocket'
    listeners.set('ws', createWebSocketListener({ ...web, what, port: wsPort, certificates: null }))
  }
  if (wssPort !== null) {
    const what = 'MQTT over WebSocket and TLS'
    listeners.set('wss', createWebSocketListener({ ...web, what, port: wssPort, certificates }))
  }
  return listeners
}
