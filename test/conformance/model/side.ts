// One side of a comparison: a mailbox, and the words in which its answers are put so that they can be compared. What two right
// stores may answer differently (random ids, how a page is cut, times that are not kept) is left out here.

import type { Position } from '../../../core/model/message.js'
import type { Mailbox, ReadResult } from '../../../core/ports/mailbox.js'
import { message, range } from '../messages.js'
import { DEVICES, type EpochRef, type Op } from './ops.js'

/** Seqs of a device up to here may be forgotten (exceptions past the retention). */
export type Forgettable = (device: string) => number

export class Side {
  #mailbox: Mailbox
  /** Random ids in the order in which they were first seen; their place is their name. */
  readonly #epochs: string[] = []
  readonly #generations: string[] = []

  constructor(mailbox: Mailbox) {
    this.#mailbox = mailbox
  }

  reopened(mailbox: Mailbox): void {
    this.#mailbox = mailbox
  }

  #name(list: string[], prefix: string, id: string): string {
    if (!list.includes(id)) list.push(id)
    return `${prefix}${list.indexOf(id)}`
  }

  #epoch(ref: EpochRef): string {
    if (ref === null || this.#epochs.length === 0) return 'never was'
    return this.#epochs.at(-1 - (ref % this.#epochs.length)) ?? ''
  }

  #position(epoch: EpochRef, seq: number): Position {
    return { epoch: this.#epoch(epoch), seq }
  }

  /** The answer with ids replaced by names, bytes by hex, and without what may differ. */
  #plain(value: unknown): unknown {
    if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
    if (Array.isArray(value)) return value.map((item) => this.#plain(item))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !['connectedAt', 'lastSeenAt', 'maybeDelivered'].includes(name))
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, item]): [string, unknown] => {
          if (typeof item !== 'string') return [name, this.#plain(item)]
          if (name === 'epoch' || name === 'lastEpoch') return [name, this.#name(this.#epochs, 'e', item)]
          if (name === 'generation') return [name, this.#name(this.#generations, 'g', item)]
          return [name, item]
        }),
    )
  }

  async run(op: Op, forgettable: Forgettable): Promise<unknown> {
    return this.#plain(await this.#call(op, forgettable))
  }

  async #call(op: Op, forgettable: Forgettable): Promise<unknown> {
    const mailbox = this.#mailbox
    switch (op.op) {
      case 'append':
        return mailbox.append(op.items.map(({ device, ...fields }) => message(device, fields)))
      case 'ack': {
        const position = this.#position(op.epoch, op.seq)
        const sent = op.sent === null ? {} : { sent: this.#position(op.epoch, op.sent) }
        const received = op.received === null ? {} : { received: this.#position(op.epoch, op.received) }
        return mailbox.ack([{ device: op.device, position, ...sent, ...received }])
      }
      case 'resume':
        return this.#resume(op, forgettable(op.device))
      case 'claim':
        return mailbox.claim(op.device, { node: 'n', claimId: op.claimId }, { force: op.force })
      case 'release':
        return mailbox.release(op.device, op.claimId)
      case 'keep':
        return mailbox.keepSubscription(op.device, op.claimId, op.filter)
      case 'read':
        return this.#read(op, forgettable(op.device))
      case 'cancel': {
        const epoch = op.epoch === 'any' ? null : this.#epoch(op.epoch)
        const result = await mailbox.cancel(op.device, op.seq, epoch)
        return op.seq <= forgettable(op.device) ? 'forgettable' : result
      }
      case 'peek':
        return mailbox.peek(op.device, { after: op.after, limit: op.limit, maxBytes: 10_000 })
      case 'look':
        return Promise.all(
          DEVICES.map((device) => this.#look(device, this.#position(op.epoch, op.seq), forgettable(device))),
        )
      case 'list':
        return this.#list(op.limit, op.online)
      case 'ensure':
        await mailbox.ensure(op.device)
        break
      case 'purge':
        return mailbox.purge(op.device)
      case 'advance':
      case 'pause':
      case 'reopen':
      case 'generation':
        break // not a call on the port
    }
    return null
  }

  /** Gaps seq by seq: where exceptions may be forgotten, two stores may tell different ones. */
  async #resume(op: Extract<Op, { op: 'resume' }>, floor: number): Promise<unknown> {
    const { device, claimId, epoch, seq } = op
    const position = seq === null ? null : this.#position(epoch, seq)
    const result = await this.#mailbox.resume({ device, claimId, position })
    if (result.kind !== 'resumed') return result
    const gaps = result.gaps.flatMap(({ from, to, reason }) =>
      range(Math.max(from, floor + 1), to).map((each) => `${each} ${reason}`),
    )
    return { ...result, gaps }
  }

  /** All pages from a position to the head; a page may be cut anywhere. */
  async #read(op: Extract<Op, { op: 'read' }>, floor: number): Promise<unknown> {
    const { device, claimId, maxMessages, maxBytes } = op
    let position = this.#position(op.epoch, op.seq)
    const seqs: unknown[] = []
    for (let pages = 0; ; pages++) {
      const result: ReadResult = await this.#mailbox.read({ device, claimId, position, maxMessages, maxBytes })
      if (result.kind !== 'page') return pages === 0 ? result : { broken: result }
      if (result.entries.filter((entry) => entry.kind === 'message').length > maxMessages) return 'too many messages'
      for (const entry of result.entries) {
        if (entry.kind === 'message') seqs.push(entry)
        else
          for (const seq of range(entry.from, entry.to))
            if (seq > floor) seqs.push({ seq, epoch: entry.epoch, reason: entry.reason })
      }
      if (result.next.seq === position.seq)
        return { seqs, next: result.next.seq, head: result.head, lastEpoch: result.lastEpoch }
      position = result.next
    }
  }

  /** Everything that can be seen of a device without changing it. */
  async #look(device: string, acked: Position, floor: number): Promise<unknown> {
    const info = await this.#mailbox.info(device)
    const heads = await this.#mailbox.heads([{ device, acked }])
    const states = await Promise.all(
      range(floor + 1, (info?.head ?? 0) + 1).map(async (seq) => {
        const state = await this.#mailbox.state(device, seq, null)
        return state.kind === 'known' ? { seq: state.seq, epoch: state.epoch, state: state.state } : state
      }),
    )
    return { info, heads, states }
  }

  async #list(limit: number, online: boolean | null): Promise<unknown> {
    const devices: unknown[] = []
    let after: string | null = null
    do {
      const page = await this.#mailbox.list({ after, limit, ...(online === null ? {} : { online }) })
      devices.push(...page.devices)
      after = page.next
    } while (after !== null)
    return devices
  }
}
