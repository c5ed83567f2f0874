// Buses of a test, each with connections of its own, as processes have them.

import type { Test } from 'tap'
import { RedisBusCounters } from '../../../core/bus/redis/counters.js'
import { createRedisBus } from '../../../core/bus/redis/redis-bus.js'
import { createLogger } from '../../../core/log.js'
import type { Bus, BusHandler, Kick, Notice } from '../../../core/ports/bus.js'
import { RedisConnections } from '../../../core/stores/redis/connections.js'
import { parseRedisUrl } from '../../../core/config/redis-location.js'

export interface TestBus {
  readonly bus: Bus
  readonly counters: RedisBusCounters
  /** Ends bus and connections. */
  close(): Promise<void>
}

export async function openBus(url: string): Promise<TestBus> {
  const location = parseRedisUrl(url)
  if (location === null) throw new Error(`no URL of a Redis: ${url}`)
  const log = createLogger({ level: 'silent' })
  const connections = await RedisConnections.open({ location, log, wait: 0, allowNoAof: true, keepsMessages: false })
  const counters = new RedisBusCounters()
  const bus = createRedisBus({ connections, log, counters, onHandlerError: () => undefined })
  return {
    bus,
    counters,
    async close() {
      await bus.close()
      await connections.close()
    },
  }
}

/** The same, closed at the end of the test. */
export async function busOf(t: Test, url: string): Promise<TestBus> {
  const opened = await openBus(url)
  t.teardown(() => opened.close())
  return opened
}

/** A node's handler that remembers. */
export class Heard implements BusHandler {
  readonly seqs: number[] = []
  readonly kicks: Kick[] = []
  gaps = 0
  /** When the last gap was told, `performance.now()`. */
  gapAt = 0

  onNotices(notices: readonly Notice[]): void {
    for (const { message } of notices) this.seqs.push(message.seq)
  }

  async onKick(kick: Kick): Promise<void> {
    this.kicks.push(kick)
  }

  onGap(): void {
    this.gaps++
    this.gapAt = performance.now()
  }
}

export const noticeOf = (seq: number, payload: Uint8Array = Buffer.from(`${seq}`)): Notice => ({
  device: 'phone',
  epoch: 'epoch',
  claimId: 'claim',
  message: {
    seq,
    at: seq,
    expiresAt: null,
    priority: 'normal',
    dedupId: null,
    contentType: 'text/plain',
    attributes: null,
    payload,
  },
})
