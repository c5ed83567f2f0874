// Lanes of uplink over a store that answers when the test says so.

import { UplinkCounters } from '../../../broker/uplink/uplink-counters.js'
import type { UplinkLane } from '../../../broker/uplink/uplink-lane.js'
import { UplinkWriter } from '../../../broker/uplink/uplink-writer.js'
import { type Rate, UNLIMITED } from '../../../core/limits/token-bucket.js'
import { createLogger } from '../../../core/log.js'
import type { NewUplink, UplinkResult } from '../../../core/ports/uplink.js'
import { FakeClock } from '../fake-clock.js'

/** One call of `append` that waits for its answer. */
export interface Call {
  readonly items: readonly string[]
  /** One word per item: ok, duplicate, or why not; nothing: all ok. */
  answer(...words: string[]): Promise<void>
  fail(error: Error): Promise<void>
}

export interface Side {
  readonly lane: UplinkLane
  readonly acked: number[]
  readonly refused: string[]
  opened: number
  /** With QoS 1. */
  send(payload: string, packetId: number): void
  /** With QoS 0. */
  toss(payload: string): void
}

export const turn = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

export function uplink(device: string, payload: string): NewUplink {
  return { device, channel: 'c', contentType: null, will: false, dedupId: null, payload: Buffer.from(payload) }
}

/** A store that answers when the test says so. */
export function laneWorld(limits: { readonly maxBytes?: number; readonly perDevice?: Rate } = {}) {
  const calls: Call[] = []
  const clock = new FakeClock()
  const counters = new UplinkCounters()
  const append = (items: readonly NewUplink[]): Promise<readonly UplinkResult[]> =>
    new Promise((resolve, reject) => {
      calls.push({
        items: items.map(({ payload }) => Buffer.from(payload).toString().slice(0, 10)),
        async answer(...words) {
          resolve(
            items.map((_, i): UplinkResult => {
              const word = words[i] ?? 'ok'
              if (word === 'full' || word === 'dedup_conflict') return { ok: false, code: word }
              return { ok: true, id: 'x', at: 0, duplicate: word === 'duplicate' }
            }),
          )
          await turn()
        },
        async fail(error) {
          reject(error)
          await turn()
        },
      })
    })
  const writer = new UplinkWriter({
    uplink: { append },
    clock,
    log: createLogger({ level: 'silent' }),
    counters,
    timeoutMs: 5_000,
    maxBytes: limits.maxBytes ?? 1 << 20,
    perDevice: limits.perDevice ?? UNLIMITED,
  })
  const connect = (device: string): Side => {
    const acked: number[] = []
    const refused: string[] = []
    const lane = writer.open(device, {
      uplinkRefused: (reason) => void refused.push(reason),
      uplinkOpen: () => void side.opened++,
      uplinkWaits: () => {},
    })
    const side: Side = {
      lane,
      acked,
      refused,
      opened: 0,
      send: (payload, packetId) =>
        void lane.store(uplink(device, payload), packetId).then(
          () => acked.push(packetId),
          () => undefined,
        ),
      toss: (payload) => lane.offer(uplink(device, payload)),
    }
    return side
  }
  const call = (i: number): Call => {
    const found = calls[i]
    if (found === undefined) throw new Error(`there were ${calls.length} calls`)
    return found
  }
  return { writer, clock, counters, calls, call, connect }
}
