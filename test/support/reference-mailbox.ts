// A mailbox in memory that is the contract of core/ports/mailbox.ts and nothing more: the conformance suite is checked
// against it, and drivers are compared with it.

import { StoreUnavailable } from '../../core/errors.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import type {
  AppendResult,
  Claim,
  DeviceInfo,
  Mailbox,
  MailboxLimits,
  MessageState,
  PageEntry,
} from '../../core/ports/mailbox.js'
import type { Clock } from '../../core/clock.js'
import type { NewMessage } from '../../core/model/message.js'
import { bodyOf, ReferenceInbox, type Row, sizeOf } from './reference-inbox.js'

export interface ReferenceOptions {
  readonly clock: Clock
  readonly limits?: Partial<MailboxLimits>
}

/** What outlives a `close`: the "disk". */
export class ReferenceStore {
  readonly clock: Clock
  readonly limits: MailboxLimits
  readonly inboxes = new Map<string, ReferenceInbox>()
  /** Messages from before this time may have been on the wire, though nobody knows. Milliseconds. */
  sentBefore = 0
  #generation = 1
  #epochs = 0

  constructor(options: ReferenceOptions) {
    this.clock = options.clock
    this.limits = { ...DEFAULT_MAILBOX_LIMITS, ...options.limits }
  }

  get generation(): string {
    return `generation-${this.#generation}`
  }

  newGeneration(): void {
    this.#generation++
  }

  /** As a store whose connections end with its process: nobody owns anything after a restart. */
  forgetClaims(): void {
    for (const inbox of this.inboxes.values()) {
      inbox.claim = null
      inbox.connectedAt = null
      for (const row of inbox.rows) if (row.exception !== null) row.exception.onWire = false
    }
  }

  /** Up to here exceptions are older than the retention: a store may have forgotten them, and what lies before them. */
  forgettableUpTo(device: string): number {
    const inbox = this.find(device)
    if (inbox === undefined) return 0
    const before = this.clock.now() - this.limits.retentionSeconds * 1000
    const old = inbox.rows.filter((row) => row.exception !== null && row.exception.at <= before)
    return Math.max(0, ...old.map((row) => row.message.seq).filter((seq) => seq <= inbox.cursor))
  }

  newEpoch(): string {
    return `epoch-${++this.#epochs}`
  }

  /** The device as time has made it. */
  find(device: string): ReferenceInbox | undefined {
    const inbox = this.inboxes.get(device)
    if (inbox === undefined) return undefined
    const now = this.clock.now()
    inbox.age(now, this.limits)
    const idle = now - Math.max(inbox.usedAt, inbox.lastSeenAt ?? 0)
    if (inbox.claim === null && inbox.pendingRows().length === 0 && idle > this.limits.idleDeviceSeconds * 1000) {
      this.inboxes.delete(device)
      return undefined
    }
    return inbox
  }

  findOrCreate(device: string): ReferenceInbox {
    const now = this.clock.now()
    const inbox = this.find(device) ?? new ReferenceInbox(now, this.newEpoch(), this.generation)
    inbox.usedAt = now
    this.inboxes.set(device, inbox)
    return inbox
  }

  open(): Mailbox {
    return new ReferenceMailbox(this)
  }
}

class ReferenceMailbox implements Mailbox {
  readonly #store: ReferenceStore
  #closed = false

  constructor(store: ReferenceStore) {
    this.#store = store
  }

  get generation(): string {
    return this.#store.generation
  }

  #check(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
  }

  async append(items: readonly NewMessage[]): Promise<readonly AppendResult[]> {
    this.#check()
    return items.map((item) => this.#append(item))
  }

  #append(item: NewMessage): AppendResult {
    const { limits } = this.#store
    const inbox = this.#store.findOrCreate(item.device)
    const at = this.#store.clock.now()
    const first = item.dedupId === null ? undefined : inbox.dedup.get(item.dedupId)
    if (first !== undefined && at - first.at < limits.dedupWindowSeconds * 1000) {
      const row = inbox.row(first.seq)
      if (row === undefined || first.body !== bodyOf(item)) return { ok: false, code: 'dedup_conflict', seq: first.seq }
      const { message, epoch } = row
      return {
        ok: true,
        seq: first.seq,
        epoch,
        at: message.at,
        expiresAt: message.expiresAt,
        duplicate: true,
        owner: null,
      }
    }

    const size = sizeOf(item)
    const full = (): boolean => {
      const pending = inbox.pendingRows()
      return pending.length >= limits.inboxMax || pending.reduce((sum, r) => sum + r.size, size) > limits.inboxMaxBytes
    }
    if (full() && (limits.overflow === 'reject' || size > limits.inboxMaxBytes))
      return { ok: false, code: 'inbox_full' }
    for (const row of inbox.pendingRows()) {
      if (!full()) break
      inbox.except(row.message.seq, 'overflow', at)
    }

    inbox.enterGeneration(this.generation, this.#store.newEpoch())
    const { payload, contentType, attributes, dedupId, priority } = item
    const seq = inbox.head + 1
    const expiresAt = item.ttl === null ? null : at + item.ttl * 1000
    const message = { seq, at, expiresAt, priority, dedupId, contentType, attributes, payload: Buffer.from(payload) }
    inbox.rows.push({ message, epoch: inbox.lastEpoch, size, exception: null })
    if (dedupId !== null) inbox.dedup.set(dedupId, { seq, body: bodyOf(item), at })
    return { ok: true, seq, epoch: inbox.lastEpoch, at, expiresAt, duplicate: false, owner: inbox.claim }
  }

  async read(request: Parameters<Mailbox['read']>[0]): ReturnType<Mailbox['read']> {
    this.#check()
    const { device, claimId, position, maxMessages, maxBytes } = request
    const inbox = this.#store.find(device)
    if (inbox?.claim?.claimId !== claimId) {
      return { kind: 'not_owner', claim: inbox?.claim ?? null, generation: this.generation }
    }
    const end = inbox.endOf(position.epoch)
    if (end === null || position.seq > end) return { kind: 'diverged' }

    const { sentBefore } = this.#store
    const entries: PageEntry[] = []
    let messages = 0
    let bytes = 0
    let last = position.seq
    for (const row of inbox.rows.slice(position.seq)) {
      const { message, epoch, exception, size } = row
      if (exception !== null) {
        exception.onWire = false // left out: it is not on this claim's wire
        pushException(entries, row)
      } else if (message.seq > inbox.cursor) {
        if (messages > 0 && (messages >= maxMessages || bytes + size > maxBytes)) break
        messages++
        bytes += size
        entries.push({
          kind: 'message',
          epoch,
          message,
          redelivered: message.seq <= inbox.sent || message.at < sentBefore,
        })
      }
      last = message.seq
    }
    const next = last === position.seq ? position : { epoch: inbox.epochOf(last), seq: last }
    return { kind: 'page', entries, next, head: inbox.head, lastEpoch: inbox.lastEpoch }
  }

  async ack(items: Parameters<Mailbox['ack']>[0]): ReturnType<Mailbox['ack']> {
    this.#check()
    return items.map(({ device, position, sent, received }) => {
      const inbox = this.#store.find(device)
      if (inbox === undefined) return { counted: false, cursor: 0, pending: 0 }
      const counted = inbox.ack(position, sent, received)
      return { counted, cursor: inbox.cursor, pending: inbox.pendingRows().length }
    })
  }

  async resume({ device, claimId, position }: Parameters<Mailbox['resume']>[0]): ReturnType<Mailbox['resume']> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox === undefined) return { kind: 'not_owner', claim: null, generation: this.generation }
    const found = inbox.resume(position)
    if (inbox.claim?.claimId !== claimId) {
      return { kind: 'not_owner', claim: inbox.claim, generation: this.generation }
    }
    const from = found === 'none' || found === 'valid' ? (position?.seq ?? 0) : inbox.cursor
    return {
      kind: 'resumed',
      found,
      position: inbox.cursorPosition(),
      head: inbox.head,
      lastEpoch: inbox.lastEpoch,
      gaps: inbox.tellGaps(from),
    }
  }

  async claim(device: string, claim: Claim, options: { readonly force: boolean }): ReturnType<Mailbox['claim']> {
    this.#check()
    const inbox = this.#store.findOrCreate(device)
    const held = inbox.claim
    if (held !== null && held.claimId !== claim.claimId && !options.force) return { ok: false, claim: held }
    if (held?.claimId !== claim.claimId) {
      inbox.connectedAt = this.#store.clock.now()
      for (const row of inbox.rows) if (row.exception !== null) row.exception.onWire = false
    }
    inbox.claim = claim
    return {
      ok: true,
      position: inbox.cursorPosition(),
      head: inbox.head,
      lastEpoch: inbox.lastEpoch,
      pending: inbox.pendingRows().length,
      generation: this.generation,
      subscription: inbox.subscription,
    }
  }

  async release(device: string, claimId: string): Promise<boolean> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox?.claim?.claimId !== claimId) return false
    inbox.claim = null
    inbox.connectedAt = null
    inbox.lastSeenAt = this.#store.clock.now()
    return true
  }

  async keepSubscription(device: string, claimId: string, filter: string | null): Promise<boolean> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox?.claim?.claimId !== claimId) return false
    inbox.subscription = filter
    return true
  }

  async heads(items: Parameters<Mailbox['heads']>[0]): ReturnType<Mailbox['heads']> {
    this.#check()
    return items.map(({ device, acked }) => {
      const inbox = this.#store.find(device)
      if (inbox === undefined) return null
      return {
        claim: inbox.claim,
        generation: this.generation,
        lastEpoch: inbox.lastEpoch,
        head: inbox.head,
        cursor: inbox.cursorPosition(),
        pending: inbox.pendingRows().length,
        oldestPendingAt: inbox.pendingRows()[0]?.message.at ?? null,
        ackedSeq: acked === null ? null : inbox.counts(acked),
      }
    })
  }

  async info(device: string): Promise<DeviceInfo | null> {
    this.#check()
    const inbox = this.#store.find(device)
    return inbox === undefined ? null : infoOf(device, inbox)
  }

  async list(query: Parameters<Mailbox['list']>[0]): ReturnType<Mailbox['list']> {
    this.#check()
    const ids = [...this.#store.inboxes.keys()]
      .filter((id) => this.#store.find(id) !== undefined)
      .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      .filter((id) => query.after === null || Buffer.compare(Buffer.from(id), Buffer.from(query.after)) > 0)
    const page = ids.slice(0, query.limit)
    const devices = page.flatMap((id) => {
      const inbox = this.#store.find(id)
      const claim = inbox?.claim ?? null
      const online = claim !== null && query.isGone?.(claim.node) !== true
      const fits = query.online === undefined || query.online === online
      return inbox !== undefined && fits ? [infoOf(id, inbox)] : []
    })
    return { devices, next: ids.length > page.length ? (page.at(-1) ?? null) : null }
  }

  async peek(device: string, query: Parameters<Mailbox['peek']>[1]): ReturnType<Mailbox['peek']> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox === undefined) return null
    const rows = inbox.pendingRows().filter((row) => row.message.seq > query.after)
    const page: Row[] = []
    let bytes = 0
    for (const row of rows) {
      bytes += row.size
      if (page.length >= query.limit || (page.length > 0 && bytes > query.maxBytes)) break
      page.push(row)
    }
    return { messages: page.map(({ epoch, message }) => ({ epoch, message })), more: page.length < rows.length }
  }

  async state(device: string, seq: number, epoch: string | null): Promise<MessageState> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox === undefined) return { kind: 'no_device' }
    const row = this.#place(inbox, seq, epoch)
    if (row === null) return { kind: 'gone' }
    const { at, expiresAt } = row.message
    const place = { kind: 'known', epoch: row.epoch, seq, at, expiresAt } as const
    if (row.exception !== null) return { ...place, state: row.exception.reason }
    if (seq <= inbox.cursor) return { ...place, state: 'handled' }
    if (seq <= inbox.received) return { ...place, state: 'received' }
    return { ...place, state: seq <= inbox.sent ? 'sent' : 'queued' }
  }

  #place(inbox: ReferenceInbox, seq: number, epoch: string | null): Row | null {
    const row = inbox.row(seq)
    if (row === undefined || seq <= inbox.floor || (epoch !== null && row.epoch !== epoch)) return null
    return row
  }

  async cancel(device: string, seq: number, epoch: string | null): ReturnType<Mailbox['cancel']> {
    this.#check()
    const inbox = this.#store.find(device)
    if (inbox === undefined) return { kind: 'no_device' }
    const row = this.#place(inbox, seq, epoch)
    if (row === null) return { kind: 'gone' }
    if (row.exception?.reason === 'cancelled')
      return { kind: 'cancelled', maybeDelivered: row.exception.onWire || seq <= inbox.sent }
    if (row.exception !== null) return { kind: 'gone' }
    if (seq <= inbox.cursor) return { kind: 'already_handled' }
    inbox.except(seq, 'cancelled', this.#store.clock.now())
    // Who is connected may have been sent it, whatever the watermark says yet.
    return { kind: 'cancelled', maybeDelivered: inbox.claim !== null || seq <= inbox.sent }
  }

  async purge(device: string): ReturnType<Mailbox['purge']> {
    this.#check()
    const inbox = this.#store.find(device)
    this.#store.inboxes.delete(device)
    return { existed: inbox !== undefined, claim: inbox?.claim ?? null }
  }

  async ensure(device: string): Promise<void> {
    this.#check()
    this.#store.findOrCreate(device)
  }

  async ping(): Promise<void> {
    this.#check()
  }

  async close(): Promise<void> {
    this.#closed = true
  }
}

function pushException(entries: PageEntry[], row: Row): void {
  const { seq } = row.message
  const reason = row.exception?.reason ?? 'cancelled'
  const before = entries.at(-1)
  if (before?.kind === 'exception' && before.to === seq - 1 && before.reason === reason && before.epoch === row.epoch) {
    entries[entries.length - 1] = { ...before, to: seq }
  } else entries.push({ kind: 'exception', epoch: row.epoch, from: seq, to: seq, reason })
}

function infoOf(device: string, inbox: ReferenceInbox): DeviceInfo {
  const pending = inbox.pendingRows()
  return {
    device,
    claim: inbox.claim,
    connectedAt: inbox.connectedAt,
    lastSeenAt: inbox.lastSeenAt,
    createdAt: inbox.createdAt,
    epoch: inbox.lastEpoch,
    head: inbox.head,
    cursor: inbox.cursor,
    pending: pending.length,
    pendingBytes: pending.reduce((sum, row) => sum + row.size, 0),
    oldestPendingAt: pending[0]?.message.at ?? null,
  }
}
