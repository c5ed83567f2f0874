// What happened, as all sides saw it: what was accepted, what each device received, acknowledged and handled, and when something
// was broken on purpose. Times are of `machineNow`. judge.ts says whether the promise was kept.

export type DeviceKind = 'plain' | 'sdk'

/** Of the process that plays a device. `sentAt`: when the producer made the message. */
export type FleetEvent =
  | {
      readonly is: 'connected'
      readonly device: string
      readonly connection: number
      readonly localPort: number
      readonly at: number
    }
  | { readonly is: 'ended'; readonly device: string; readonly connection: number; readonly at: number }
  | {
      readonly is: 'arrived'
      readonly device: string
      readonly connection: number
      readonly number: number
      readonly seq: number
      readonly dup: boolean
      readonly sentAt: number
      readonly at: number
    }
  | {
      readonly is: 'acked'
      readonly device: string
      readonly connection: number
      readonly number: number
      readonly at: number
    }
  | {
      readonly is: 'handled'
      readonly device: string
      readonly number: number
      readonly epoch: string
      readonly seq: number
      readonly sentAt: number
      readonly at: number
    }
  /** An SDK device. */
  | { readonly is: 'welcomed'; readonly device: string; readonly at: number }
  | { readonly is: 'reset'; readonly device: string; readonly at: number }
  /** Acknowledged without the handler after a reset, because its dedup id was handled. */
  | { readonly is: 'suppressed'; readonly device: string; readonly seq: number; readonly at: number }
  /** What may not be: a gap, or a client that gave up. */
  | { readonly is: 'trouble'; readonly device: string; readonly what: string; readonly at: number }

/** Something was broken on purpose. */
export interface Fault {
  readonly from: number
  /** When it was mended; of a kill: when nobody can have believed any more that the victim lives. */
  readonly to: number
  /** Whose connections it concerns; null: those of all nodes. */
  readonly node: string | null
  /** Messages that were accepted while it lasted may be lost: a master died whose replicas had not got them. */
  readonly losesTail?: boolean
  /** An acknowledgement of so long before need not have reached the store yet. Default: ACK_GRACE_MS. */
  readonly graceMs?: number
}

/** Where a message was accepted, and when its producer knew it. */
export interface Place {
  readonly seq: number
  readonly epoch: string
  readonly at: number
}

export interface Ack {
  readonly at: number
  readonly connection: Connection
}

export interface Connection {
  readonly node: string | null
  readonly startedAt: number
  /** Infinity: it has not ended. */
  endedAt: number
}

export interface Arrival {
  readonly connection: Connection
  readonly number: number
  readonly seq: number
  readonly dup: boolean
  readonly at: number
}

export interface Handling {
  readonly number: number
  readonly epoch: string
  readonly seq: number
  readonly at: number
}

export interface DeviceHistory {
  readonly kind: DeviceKind
  readonly accepted: Map<number, Place>
  readonly connections: Connection[]
  /** In the order in which they came. */
  readonly arrivals: Arrival[]
  /** By number. */
  readonly acks: Map<number, Ack[]>
  readonly handled: Handling[]
  readonly resets: number[]
  /** Of an SDK device. */
  readonly welcomes: number[]
  suppressed: number
  readonly troubles: string[]
  /** Numbers that arrived, or were handled. */
  readonly seen: Set<number>
}

export interface Progress {
  readonly accepted: number
  /** Distinct messages that arrived or were handled, among those that were accepted. */
  readonly delivered: number
  readonly connects: number
  readonly resets: number
  readonly suppressed: number
}

export class History {
  readonly devices = new Map<string, DeviceHistory>()
  readonly faults: Fault[] = []
  readonly #nodeOf: (localPort: number) => string | null
  readonly #connections = new Map<string, Connection>()
  #accepted = 0
  #delivered = 0
  #connects = 0
  #resets = 0
  #suppressed = 0
  /** Called with milliseconds from the producer to the device, for every message that comes for the first time. */
  onLatency: (ms: number, device: string) => void = () => undefined

  /** `nodeOf`: to which node a connection from this port went. */
  constructor(nodeOf: (localPort: number) => string | null = () => null) {
    this.#nodeOf = nodeOf
  }

  device(id: string, kind: DeviceKind): void {
    this.devices.set(id, {
      kind,
      accepted: new Map(),
      connections: [],
      arrivals: [],
      acks: new Map(),
      handled: [],
      resets: [],
      welcomes: [],
      suppressed: 0,
      troubles: [],
      seen: new Set(),
    })
  }

  /** Answered with 2xx. */
  accepted(device: string, number: number, place: Place): void {
    const { accepted, seen, troubles } = this.#of(device)
    const before = accepted.get(number)
    if (before !== undefined) {
      if (before.seq !== place.seq || before.epoch !== place.epoch)
        troubles.push(`${number}: accepted at ${before.seq}, and again at ${place.seq}`)
      return
    }
    accepted.set(number, place)
    this.#accepted++
    if (seen.has(number)) this.#delivered++
  }

  fault(fault: Fault): void {
    this.faults.push(fault)
  }

  take(event: FleetEvent): void {
    const notes = this.#of(event.device)
    const { at } = event
    switch (event.is) {
      case 'connected': {
        const made = { node: this.#nodeOf(event.localPort), startedAt: at, endedAt: Infinity }
        notes.connections.push(made)
        this.#connections.set(`${event.device} ${event.connection}`, made)
        this.#connects++
        return
      }
      case 'ended': {
        const connection = this.#connection(event.device, event.connection)
        connection.endedAt = at
        return
      }
      case 'arrived': {
        const { number, seq, dup } = event
        this.#see(event.device, notes, number, at - event.sentAt)
        notes.arrivals.push({ connection: this.#connection(event.device, event.connection), number, seq, dup, at })
        return
      }
      case 'acked': {
        const acks = notes.acks.get(event.number) ?? []
        acks.push({ at, connection: this.#connection(event.device, event.connection) })
        notes.acks.set(event.number, acks)
        return
      }
      case 'handled': {
        const { number, epoch, seq } = event
        this.#see(event.device, notes, number, at - event.sentAt)
        notes.handled.push({ number, epoch, seq, at })
        return
      }
      case 'welcomed':
        notes.welcomes.push(at)
        this.#connects++
        return
      case 'reset':
        this.#resets++
        notes.resets.push(at)
        return
      case 'suppressed':
        this.#suppressed++
        notes.suppressed++
        return
      case 'trouble':
        notes.troubles.push(event.what)
        return
      default:
        throw event satisfies never
    }
  }

  get progress(): Progress {
    return {
      accepted: this.#accepted,
      delivered: this.#delivered,
      connects: this.#connects,
      resets: this.#resets,
      suppressed: this.#suppressed,
    }
  }

  /** What was accepted until then and has not arrived. */
  missing(until: number): readonly string[] {
    const missing: string[] = []
    for (const [device, { accepted, seen }] of this.devices)
      for (const [number, { at }] of accepted) if (at <= until && !seen.has(number)) missing.push(`${device} ${number}`)
    return missing
  }

  #see(device: string, { seen, accepted }: DeviceHistory, number: number, ms: number): void {
    if (seen.has(number)) return
    seen.add(number)
    if (accepted.has(number)) this.#delivered++
    this.onLatency(ms, device)
  }

  #of(device: string): DeviceHistory {
    const notes = this.devices.get(device)
    if (notes === undefined) throw new Error(`no device ${device}`)
    return notes
  }

  #connection(device: string, connection: number): Connection {
    const found = this.#connections.get(`${device} ${connection}`)
    if (found === undefined) throw new Error(`no connection ${connection} of ${device}`)
    return found
  }
}
