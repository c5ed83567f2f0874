// What waits for one receiver, in memory: events in chains, one for each device and log, of which only the first is on its way.
// Pure: time is passed in, nothing is sent or stored here.
//
// Each event was read from a log, and counts as unfinished there until it is sent, dropped or parked. The cursor of a log stands
// before its first unfinished event, so whoever goes on from it misses nothing. An event that fails is parked together with what
// is behind it in its chain: it then waits in the store beside the cursor, which can go on.

import type { ParkedEvent, Progress, ProgressChange } from '../../core/ports/webhook-store.js'

/** An event on its way to a receiver. */
export interface Delivery {
  readonly log: string
  /** Its place in the log. */
  readonly id: string
  readonly device: string
  /** When it happened. Milliseconds. */
  readonly at: number
  /** The same at each attempt. */
  readonly messageId: string
  readonly body: string
}

interface Item {
  readonly log: string
  readonly id: string
  /** Null: it is none of this receiver's. */
  readonly delivery: Delivery | null
  done: boolean
  /** Not null: parked, in this place. */
  key: string | null
  /** The store has it among the parked. */
  kept: boolean
}

interface Chain {
  readonly items: Item[]
  onTheWay: boolean
  failures: number
  notBefore: number
}

export interface DeliveryQueueLimits {
  readonly window: number
  readonly parkedMax: number
  readonly parkedMaxBytes: number
}

/** What `changes` answers, to be handed back when it is stored. */
export interface PendingChange {
  readonly change: ProgressChange
  readonly parked: readonly Item[]
}

export class DeliveryQueue {
  readonly #limits: DeliveryQueueLimits
  /** By log, in order; finished ones leave at the front. */
  readonly #read = new Map<string, Item[]>()
  readonly #chains = new Map<string, Chain>()
  /** Chains whose first event may go now, in the order in which they became so. */
  readonly #ready = new Set<Chain>()
  /** Chains that wait for a time. */
  readonly #resting = new Set<Chain>()
  /** `log id` of what is parked. */
  readonly #parked = new Map<string, Item>()
  #parkedBytes = 0
  #lastKey = 0
  #cursors = new Map<string, string>()
  #toPark: Item[] = []
  #toUnpark: string[] = []
  #waiting = 0

  constructor(limits: DeliveryQueueLimits, { parked }: Progress) {
    this.#limits = limits
    for (const { key, value } of parked) {
      const delivery = decodeParked(value)
      const item: Item = { log: delivery.log, id: delivery.id, delivery, done: false, key, kept: true }
      this.#lastKey = Math.max(this.#lastKey, Number.parseInt(key, 10) || 0)
      this.#parked.set(placeOf(item), item)
      this.#parkedBytes += delivery.body.length
      this.#enqueue(item, delivery)
    }
  }

  /** Events that are not sent yet. */
  get waiting(): number {
    return this.#waiting
  }

  get parkedCount(): number {
    return this.#parked.size
  }

  /** How many more events of the log may be added. */
  room(log: string): number {
    return this.#limits.window - (this.#read.get(log)?.length ?? 0)
  }

  /** The next event of a log; null: it is none of this receiver's. */
  add(log: string, id: string, delivery: Delivery | null): void {
    const item: Item = { log, id, delivery, done: delivery === null, key: null, kept: false }
    // Parked before the cursor had passed it: it is in its chain already.
    if (this.#parked.has(placeOf(item))) item.done = true
    else if (delivery !== null) this.#enqueue(item, delivery)
    const items = this.#read.get(log)
    if (items === undefined) this.#read.set(log, [item])
    else items.push(item)
  }

  /** The next event that may be sent; null: none now. It is on its way until one of the four words below. */
  next(now: number): Delivery | null {
    for (const chain of this.#resting) {
      if (chain.notBefore > now) continue
      this.#resting.delete(chain)
      this.#ready.add(chain)
    }
    for (const chain of this.#ready) {
      this.#ready.delete(chain)
      const delivery = chain.items[0]?.delivery ?? null
      if (delivery === null) continue
      chain.onTheWay = true
      return delivery
    }
    return null
  }

  /** When a chain that rests may go on; null: none rests. */
  get nextAt(): number | null {
    let first: number | null = null
    for (const { notBefore } of this.#resting) if (first === null || notBefore < first) first = notBefore
    return first
  }

  /** When the oldest event happened that is not sent yet; null: all are. */
  get oldestAt(): number | null {
    let oldest: number | null = null
    for (const { items } of this.#chains.values()) {
      const at = items[0]?.delivery?.at
      if (at !== undefined && (oldest === null || at < oldest)) oldest = at
    }
    return oldest
  }

  /** It was taken, or given up. */
  finished(delivery: Delivery): void {
    const name = chainOf(delivery)
    const chain = this.#chains.get(name)
    const item = chain?.items.shift()
    if (chain === undefined || item === undefined) return
    item.done = true
    this.#waiting--
    if (item.key !== null) {
      this.#parked.delete(placeOf(item))
      this.#parkedBytes -= delivery.body.length
      if (item.kept) this.#toUnpark.push(item.key)
    }
    chain.onTheWay = false
    chain.failures = 0
    if (chain.items.length === 0) this.#chains.delete(name)
    else this.#ready.add(chain)
  }

  /** It could not be sent, for no fault of its own: it stays the first. */
  returned(delivery: Delivery): void {
    const chain = this.#chains.get(chainOf(delivery))
    if (chain === undefined) return
    chain.onTheWay = false
    this.#ready.add(chain)
  }

  /** Failures in a row of the chain's first event, this one counted. */
  failuresOf(delivery: Delivery): number {
    return (this.#chains.get(chainOf(delivery))?.failures ?? 0) + 1
  }

  /** It was refused. Its chain rests; how many events were parked with it. */
  failed(delivery: Delivery, notBefore: number): number {
    const chain = this.#chains.get(chainOf(delivery))
    if (chain === undefined) return 0
    chain.onTheWay = false
    chain.failures++
    chain.notBefore = notBefore
    this.#resting.add(chain)
    let parked = 0
    for (const item of chain.items) {
      if (item.key !== null) continue
      // What is behind one that found no room must not be parked before it.
      if (!this.#park(item)) break
      parked++
    }
    return parked
  }

  /** What the store does not know yet; null: nothing. */
  changes(): PendingChange | null {
    for (const [log, items] of this.#read) {
      let finished = 0
      while (finished < items.length && isPassed(items[finished])) finished++
      const last = items[finished - 1]
      if (last === undefined) continue
      this.#cursors.set(log, last.id)
      items.splice(0, finished)
    }
    const parked = this.#toPark.filter(({ done }) => !done)
    const park = parked.flatMap(({ key, delivery }): ParkedEvent[] =>
      key === null || delivery === null ? [] : [{ key, value: JSON.stringify(delivery) }],
    )
    if (this.#cursors.size + park.length + this.#toUnpark.length === 0) return null
    return { change: { cursors: new Map(this.#cursors), park, unpark: [...this.#toUnpark] }, parked }
  }

  /** The store has it. */
  stored({ change, parked }: PendingChange): void {
    for (const [log, cursor] of change.cursors) if (this.#cursors.get(log) === cursor) this.#cursors.delete(log)
    const gone = new Set(change.unpark)
    this.#toUnpark = this.#toUnpark.filter((key) => !gone.has(key))
    const kept = new Set(parked)
    this.#toPark = this.#toPark.filter((item) => !kept.has(item) && !item.done)
    for (const item of parked) {
      item.kept = true
      // Sent while it was being stored.
      if (item.done && item.key !== null) this.#toUnpark.push(item.key)
    }
  }

  #enqueue(item: Item, delivery: Delivery): void {
    this.#waiting++
    const name = chainOf(delivery)
    const chain = this.#chains.get(name)
    if (chain === undefined) {
      const made: Chain = { items: [item], onTheWay: false, failures: 0, notBefore: 0 }
      this.#chains.set(name, made)
      this.#ready.add(made)
      return
    }
    const before = chain.items.at(-1)
    chain.items.push(item)
    // Behind what is parked it would hold the cursor up.
    if (!item.kept && before !== undefined && before.key !== null) this.#park(item)
  }

  /** False: there is no room. */
  #park(item: Item): boolean {
    const { delivery } = item
    if (delivery === null) return false
    const { parkedMax, parkedMaxBytes } = this.#limits
    if (this.#parked.size >= parkedMax || this.#parkedBytes + delivery.body.length > parkedMaxBytes) return false
    item.key = `${String(++this.#lastKey).padStart(15, '0')}|${item.log}|${item.id}`
    this.#parked.set(placeOf(item), item)
    this.#parkedBytes += delivery.body.length
    this.#toPark.push(item)
    return true
  }
}

const chainOf = ({ log, device }: Delivery): string => `${log} ${device}`
const placeOf = ({ log, id }: Item): string => `${log} ${id}`

/** The cursor may pass it. */
const isPassed = (item: Item | undefined): boolean => item !== undefined && (item.done || item.key !== null)

/** Throws RangeError: not what `changes` wrote. */
function decodeParked(text: string): Delivery {
  const value: unknown = JSON.parse(text)
  const fields = typeof value === 'object' && value !== null ? new Map<string, unknown>(Object.entries(value)) : null
  const [log, id, device, messageId, body] = ['log', 'id', 'device', 'messageId', 'body'].map((name) => {
    const field = fields?.get(name)
    if (typeof field !== 'string') throw new RangeError('a parked event in the store is damaged')
    return field
  })
  const at = fields?.get('at')
  if (typeof at !== 'number') throw new RangeError('a parked event in the store is damaged')
  return { log: log ?? '', id: id ?? '', device: device ?? '', at, messageId: messageId ?? '', body: body ?? '' }
}
