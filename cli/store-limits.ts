// The bounds of what is stored, as the settings say them.

import type { ServerConfig } from '../core/config/server-options.js'
import { DEFAULT_EVENT_LIMITS, type EventLimits } from '../core/ports/event-log.js'
import type { MailboxLimits } from '../core/ports/mailbox.js'

export function mailboxLimits(config: ServerConfig): MailboxLimits {
  return {
    inboxMax: config.inboxMax,
    inboxMaxBytes: config.inboxMaxBytes,
    overflow: config.overflow,
    retentionSeconds: config.retention,
    dedupWindowSeconds: config.dedupWindow,
    idleDeviceSeconds: config.deviceIdle,
  }
}

export const ordinaryLimits = (config: ServerConfig) => ({
  queueMax: config.sessionQueueMax,
  queueMaxBytes: config.sessionQueueMaxBytes,
  retainedMax: config.retainedMax,
  retainedMaxBytes: config.retainedMaxBytes,
})

export const eventLimits = (config: ServerConfig): EventLimits => ({
  ...DEFAULT_EVENT_LIMITS,
  maxCount: config.eventsMax,
})

export const uplinkLimits = (config: ServerConfig) => ({
  maxBytes: config.uplinkMax,
  retentionSeconds: config.uplinkRetention,
})
