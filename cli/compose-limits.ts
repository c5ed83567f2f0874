// The limits of the parts, from the settings and from what the machine allows.

import { BURST_SECONDS, DEFAULT_BROKER_LIMITS, type BrokerLimits } from '../broker/limits.js'
import type { PubSubLimits } from '../broker/pubsub/limits.js'
import { uplinkShare } from '../broker/uplink/uplink-shares.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { openFilesLimit, shareFiles, SocketBudget } from '../core/limits/socket-budget.js'
import { rateOf, UNLIMITED, type Rate } from '../core/limits/token-bucket.js'
import type { Logger } from '../core/log.js'
import { REQUEST_BURST_SECONDS, type ApiLimits } from '../push-api/limits.js'

const rate = (perSecond: number, seconds: number): Rate => (perSecond === 0 ? UNLIMITED : rateOf(perSecond, seconds))

export interface NodeLimits {
  /** Devices connected at one time. */
  readonly connectionsMax: number
  readonly broker: Partial<BrokerLimits>
  readonly pubsub: Partial<PubSubLimits>
  readonly api: Partial<ApiLimits>
  /** Sockets of all listeners together. */
  readonly sockets: SocketBudget
}

/** Says so in the log when the limit of open files allows fewer connections than somebody has set. */
export function nodeLimits(
  config: ServerConfig,
  where: ReadonlyMap<string, string>,
  log: Logger,
  files: number | null = openFilesLimit(),
): NodeLimits {
  const share = shareFiles(files)
  const connectionsMax = Math.min(config.connectionsMax, share.devices)
  if (connectionsMax < config.connectionsMax && where.has('connectionsMax')) {
    log.warn(
      { connectionsMax, configured: config.connectionsMax, openFiles: files },
      'fewer connections than set: the limit of open files allows no more',
    )
  }
  const burst = BURST_SECONDS
  return {
    connectionsMax,
    sockets: new SocketBudget(share.sockets),
    api: {
      payloadMax: config.payloadMax,
      bodyMax: config.bodyMax,
      connectionsMax: config.httpConnectionsMax,
      requestsPerAddress: rate(config.requestRatePerAddress, REQUEST_BURST_SECONDS),
    },
    broker: {
      maxConnections: connectionsMax,
      maxConnectionsPerAddress: config.connectionsPerAddress,
      connects: rate(config.connectRate, burst.connects),
      connectsPerAddress: rate(config.connectRatePerAddress, burst.connectsPerPeer),
      connectsPerDevice: rate(config.connectRatePerDevice, burst.connectsPerPeer),
      publishesPerDevice: rate(config.publishRatePerDevice, burst.publishes),
      publishesPerAddress: rate(config.publishRatePerAddress, burst.publishes),
      packetsPerDevice: rate(config.packetRatePerDevice, burst.packets),
      bytesPerDevice: rate(config.byteRatePerDevice, burst.bytes),
      connectTimeoutMs: config.connectTimeout,
      maxPublishBytes: DEFAULT_BROKER_LIMITS.maxPublishBytes - 256 * 1024 + config.payloadMax,
      maxPayloadBytes: config.payloadMax,
      maxSubscriptions: config.subscriptionsMax,
      maxTopicBytes: config.topicMax,
      maxTopicLevels: config.topicLevelsMax,
      uplinkPerDevice: uplinkShare(config.uplinkMaxPerDevice ?? config.uplinkMax / 4, config.uplinkRetention),
    },
    pubsub: {
      queueMax: config.sessionQueueMax,
      queueMaxBytes: config.sessionQueueMaxBytes,
      retainedMax: config.retainedMax,
      retainedMaxBytes: config.retainedMaxBytes,
      sessionIdleMs: config.deviceIdle * 1000,
      window: config.window,
    },
  }
}
