// The composition of what sends events to backends.

import { reachableAddresses } from '../core/net/public-address.js'
import { NO_PROXIES, trustedProxies } from '../core/net/trusted-proxies.js'
import type { WebhookContext } from '../push-api/service/webhooks.js'
import { WebhookCounters } from '../push-api/webhooks/counters.js'
import { DEFAULT_WEBHOOK_LIMITS } from '../push-api/webhooks/limits.js'
import { Poster } from '../push-api/webhooks/post.js'
import { Slots } from '../push-api/webhooks/slots.js'
import { WebhookSender } from '../push-api/webhooks/webhook-sender.js'
import type { NodeParts } from './compose-node.js'
import { WEBHOOKS } from './metrics/webhooks.js'

/** Starts sending; answers what the REST API needs to change webhooks. */
export async function startWebhooks(node: NodeParts, version: string): Promise<WebhookContext> {
  const { config, store, security, metrics, lifecycle, clock, clientLog: log } = node
  const limits = {
    ...DEFAULT_WEBHOOK_LIMITS,
    parkedMaxBytes: store.parkedMaxBytes ?? DEFAULT_WEBHOOK_LIMITS.parkedMaxBytes,
  }
  const counters = new WebhookCounters()
  const networks = config.webhookNetworks
  const reachable = reachableAddresses(networks === undefined ? NO_PROXIES : trustedProxies(networks))
  const { events, uplink, webhooks } = store
  const { box } = security
  const poster = new Poster({
    reachable,
    allowHttp: config.webhookHttp,
    timeoutMs: limits.timeoutMs,
    concurrency: limits.concurrency,
    userAgent: `postrider/${version}`,
  })
  const sender = new WebhookSender({
    store: webhooks,
    events,
    uplink,
    poster,
    box,
    slots: new Slots(limits.nodeConcurrency),
    node: node.name,
    limits,
    counters,
    clock,
    random: Math.random,
    log,
  })
  metrics.expose(WEBHOOKS.of({ counters, sender, events }))
  await lifecycle.step(
    'webhooks',
    async () => {
      sender.start()
      await Promise.resolve()
    },
    async () => {
      await sender.stop()
      poster.close()
    },
  )
  return {
    store: webhooks,
    events,
    uplink,
    box,
    reachable,
    allowHttp: config.webhookHttp,
    webhooksMax: limits.webhooksMax,
    onChange: () => sender.refresh(),
  }
}
