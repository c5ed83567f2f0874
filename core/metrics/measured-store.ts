// The store's ports with a clock around each call: the same answers, the same errors, and one turn of a promise more.

import type { Clock } from '../clock.js'
import { PostriderError } from '../errors.js'
import type { EventLog } from '../ports/event-log.js'
import type { Mailbox } from '../ports/mailbox.js'
import type { Uplink } from '../ports/uplink.js'
import type { WebhookStore } from '../ports/webhook-store.js'
import type { StoreCounters, StoreError, StoreOperation } from './store-counters.js'

type Measure = <T>(operation: StoreOperation, call: () => Promise<T>) => Promise<T>

function errorOf(error: unknown): StoreError {
  if (!(error instanceof PostriderError)) return 'other'
  return error.code === 'store_unavailable' || error.code === 'outcome_unknown' ? error.code : 'other'
}

function measureWith(counters: StoreCounters, clock: Pick<Clock, 'monotonic'>): Measure {
  return async (operation, call) => {
    const from = clock.monotonic()
    try {
      return await call()
    } catch (error) {
      counters.errors[operation][errorOf(error)]++
      throw error
    } finally {
      counters.seconds[operation].observe((clock.monotonic() - from) / 1000)
    }
  }
}

export function measuredMailbox(mailbox: Mailbox, counters: StoreCounters, clock: Pick<Clock, 'monotonic'>): Mailbox {
  const measure = measureWith(counters, clock)
  const { items } = counters
  return {
    get generation() {
      return mailbox.generation
    },
    append(messages) {
      items.append.observe(messages.length)
      return measure('append', () => mailbox.append(messages))
    },
    read: (request) => measure('read', () => mailbox.read(request)),
    ack(acks) {
      items.ack.observe(acks.length)
      return measure('ack', () => mailbox.ack(acks))
    },
    resume: (request) => measure('resume', () => mailbox.resume(request)),
    claim: (device, claim, options) => measure('claim', () => mailbox.claim(device, claim, options)),
    release: (device, claimId) => measure('release', () => mailbox.release(device, claimId)),
    keepSubscription: (device, claimId, filter) =>
      measure('keep_subscription', () => mailbox.keepSubscription(device, claimId, filter)),
    heads(devices) {
      items.heads.observe(devices.length)
      return measure('heads', () => mailbox.heads(devices))
    },
    info: (device) => measure('info', () => mailbox.info(device)),
    list: (query) => measure('list', () => mailbox.list(query)),
    peek: (device, query) => measure('peek', () => mailbox.peek(device, query)),
    state: (device, seq, epoch) => measure('state', () => mailbox.state(device, seq, epoch)),
    cancel: (device, seq, epoch) => measure('cancel', () => mailbox.cancel(device, seq, epoch)),
    purge: (device) => measure('purge', () => mailbox.purge(device)),
    ensure: (device) => measure('ensure', () => mailbox.ensure(device)),
    ping: () => measure('ping', () => mailbox.ping()),
    close: () => mailbox.close(),
  }
}

export function measuredUplink(uplink: Uplink, counters: StoreCounters, clock: Pick<Clock, 'monotonic'>): Uplink {
  const measure = measureWith(counters, clock)
  return {
    append(uplinks) {
      counters.items.uplink_append.observe(uplinks.length)
      return measure('uplink_append', () => uplink.append(uplinks))
    },
    read: (query) => measure('uplink_read', () => uplink.read(query)),
    get usage() {
      return uplink.usage
    },
    end: () => measure('uplink_end', () => uplink.end()),
    close: () => uplink.close(),
  }
}

export function measuredEvents(events: EventLog, counters: StoreCounters, clock: Pick<Clock, 'monotonic'>): EventLog {
  const measure = measureWith(counters, clock)
  return {
    async read(query) {
      const page = await measure('events_read', () => events.read(query))
      // Only the answer says how many there are.
      if (page !== null) counters.items.events_read.observe(page.events.length)
      return page
    },
    end: () => measure('events_end', () => events.end()),
    get usage() {
      return events.usage
    },
    close: () => events.close(),
  }
}

export function measuredWebhooks(
  webhooks: WebhookStore,
  counters: StoreCounters,
  clock: Pick<Clock, 'monotonic'>,
): WebhookStore {
  const measure = measureWith(counters, clock)
  return {
    put: (webhook, was, cursors) => measure('webhook_put', () => webhooks.put(webhook, was, cursors)),
    get: (id) => measure('webhook_get', () => webhooks.get(id)),
    list: () => measure('webhook_list', () => webhooks.list()),
    remove: (id) => measure('webhook_remove', () => webhooks.remove(id)),
    acquire: (id, node, ttlMs) => measure('webhook_acquire', () => webhooks.acquire(id, node, ttlMs)),
    commit(id, token, change, ttlMs) {
      counters.items.webhook_commit.observe(change.park.length + change.unpark.length)
      return measure('webhook_commit', () => webhooks.commit(id, token, change, ttlMs))
    },
    release: (id, token) => measure('webhook_release', () => webhooks.release(id, token)),
    close: () => webhooks.close(),
  }
}
