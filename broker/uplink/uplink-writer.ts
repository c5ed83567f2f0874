// Uplink of all connections of a node on its way to the store. What the lanes hold at the end of a turn of the event loop goes
// to the store in one call. A device's uplinks keep their order over its connections: the lane of a newer one waits until the
// older one is empty.

import type { Clock } from '../../core/clock.js'
import { OutcomeUnknown, PostriderError } from '../../core/errors.js'
import type { Rate } from '../../core/limits/token-bucket.js'
import type { Logger } from '../../core/log.js'
import { type NewUplink, type Uplink, type UplinkResult, uplinkSize } from '../../core/ports/uplink.js'
import type { UplinkCounters, UplinkRefusal } from './uplink-counters.js'
import { UplinkLane, type UplinkLaneHost, type UplinkLaneOwner, type UplinkOutcome } from './uplink-lane.js'
import { UplinkShares } from './uplink-shares.js'

export interface UplinkWriterOptions {
  readonly uplink: Pick<Uplink, 'append'>
  readonly clock: Clock
  readonly log: Logger
  readonly counters: UplinkCounters
  /** An uplink that is not stored after so many milliseconds is refused. */
  readonly timeoutMs: number
  /** Bytes that the lanes may hold together; above, no connection with uplink under way is read from. */
  readonly maxBytes: number
  /** What one device may store; see `uplinkShare`. */
  readonly perDevice: Rate
}

/** A will has no connection any more. */
const NOBODY: UplinkLaneOwner = { uplinkRefused: () => {}, uplinkOpen: () => {}, uplinkWaits: () => {} }

const NO_ROOM: UplinkOutcome = { ok: false, code: 'device_full' }

/** Lanes are looked at for uplinks that wait too long this often. Milliseconds. */
const TICK_MS = 250

export class UplinkWriter implements UplinkLaneHost {
  readonly counters: UplinkCounters
  readonly #options: UplinkWriterOptions
  /** Lanes that hold something, by device, in the order of their connections: the first one has its turn. */
  readonly #lanes = new Map<string, UplinkLane[]>()
  readonly #ready = new Set<UplinkLane>()
  readonly #shares: UplinkShares
  #bytes = 0
  #timer: NodeJS.Timeout | null = null
  #whenIdle: (() => void) | null = null

  constructor(options: UplinkWriterOptions) {
    this.#options = options
    this.counters = options.counters
    this.#shares = new UplinkShares(options.perDevice)
  }

  /** The lane of a connection. */
  open(device: string, owner: UplinkLaneOwner): UplinkLane {
    return new UplinkLane(device, this, owner)
  }

  /** The will of a connection that has ended, behind what it sent. Resolves when it is stored; rejects with UplinkRefused. */
  will(device: string, channel: string, payload: Uint8Array): Promise<void> {
    const lane = this.open(device, NOBODY)
    return lane.store({ device, channel, contentType: null, will: true, dedupId: null, payload }, 1)
  }

  /** Resolves when nothing is on its way any more: everything is stored, or was refused; or when the time for it is over. */
  async settled(): Promise<void> {
    if (this.#lanes.size === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.timeoutMs)
      this.#whenIdle = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  // --- from the lanes

  get full(): boolean {
    return this.#bytes > this.#options.maxBytes
  }

  weigh(bytes: number): void {
    this.#bytes += bytes
  }

  monotonic(): number {
    return this.#options.clock.monotonic()
  }

  wants(lane: UplinkLane): void {
    const lanes = this.#lanes.get(lane.device)
    if (lanes === undefined) this.#lanes.set(lane.device, [lane])
    else if (!lanes.includes(lane)) lanes.push(lane)
    if (lanes === undefined || lanes[0] === lane) this.#schedule(lane)
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS).unref()
  }

  idle(lane: UplinkLane): void {
    const lanes = this.#lanes.get(lane.device)
    if (lanes?.includes(lane) !== true) return
    const rest = lanes.filter((other) => other !== lane)
    const [next] = rest
    if (next === undefined) this.#lanes.delete(lane.device)
    else {
      this.#lanes.set(lane.device, rest)
      if (lanes[0] === lane) this.#schedule(next)
    }
    if (this.#lanes.size === 0) this.#whenIdle?.()
  }

  #schedule(lane: UplinkLane): void {
    // After the poll phase: all that has arrived in this turn goes in one call.
    if (this.#ready.size === 0) setImmediate(() => this.#flush())
    this.#ready.add(lane)
  }

  #flush(): void {
    const lanes = [...this.#ready].filter(({ ready }) => ready)
    this.#ready.clear()
    if (lanes.length > 0) void this.#carry(lanes)
  }

  async #carry(lanes: readonly UplinkLane[]): Promise<void> {
    const now = this.monotonic()
    const batches = lanes.map((lane) => {
      const uplinks = lane.take()
      // A device has one lane at the store at a time, so that nothing else of it is counted meanwhile.
      return { lane, uplinks, room: this.#shares.roomFor(lane.device, uplinks, now) }
    })
    const items = batches.flatMap(({ uplinks, room }) => uplinks.slice(0, room))
    const answer = items.length === 0 ? [] : await this.#append(items)
    let at = 0
    for (const { lane, uplinks, room } of batches) {
      if (typeof answer === 'string') lane.settle(answer)
      else {
        const results = answer.slice(at, at + room)
        this.#count(lane.device, uplinks, results)
        lane.settle([...results, ...uplinks.slice(room).map(() => NO_ROOM)])
      }
      at += room
    }
  }

  #count(device: string, uplinks: readonly NewUplink[], results: readonly UplinkResult[]): void {
    let bytes = 0
    for (const [i, uplink] of uplinks.entries()) {
      const result = results[i]
      if (result?.ok === true && !result.duplicate) bytes += uplinkSize(uplink)
    }
    this.#shares.stored(device, bytes, this.monotonic())
  }

  /** The results, or why there are none. Never rejects. */
  async #append(items: Parameters<Uplink['append']>[0]): Promise<readonly UplinkResult[] | UplinkRefusal> {
    try {
      return await this.#options.uplink.append(items)
    } catch (err) {
      this.#options.log.warn({ err, count: items.length }, 'uplink could not be stored')
      if (err instanceof OutcomeUnknown || !(err instanceof PostriderError)) return 'outcome_unknown'
      return 'store_unavailable'
    }
  }

  #tick(): void {
    if (this.#lanes.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer)
      this.#timer = null
    }
    const late = this.monotonic() - this.#options.timeoutMs
    for (const lanes of this.#lanes.values()) for (const lane of lanes) lane.look(late)
  }
}
