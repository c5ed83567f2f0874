// The Mailbox port on the embedded store. Every call decides and changes in memory in one go, then waits until the group that
// holds what it did and saw is stored.

import { OutcomeUnknown, PostriderError, StoreUnavailable } from '../../errors.js'
import { epochAt, resolvePosition } from '../../model/epochs.js'
import { gapsBetween } from '../../model/gaps.js'
import type { NewMessage, Position } from '../../model/message.js'
import type {
  AckItem,
  AckResult,
  AppendResult,
  CancelResult,
  Claim,
  ClaimGranted,
  ClaimHeld,
  DeviceInfo,
  HeadResult,
  Mailbox,
  MessageState,
  PeekResult,
  ReadRequest,
  ReadResult,
  ResumeRequest,
  ResumeResult,
} from '../../ports/mailbox.js'
import { randomId } from '../../random-id.js'
import { type AppendContext, appendMessage } from './append.js'
import { type Engine } from './engine.js'
import { writeNumber } from './numbers.js'
import type { InboxState } from './inbox-state.js'
import { readPage, readPending } from './pages.js'
import { deviceInfo, headOf, isPlace, messageState } from './views.js'

const UNAVAILABLE: AppendResult = { ok: false, code: 'store_unavailable' }

/** A page of a filtered list looks at so many devices at most. */
const LIST_SCAN = 5_000

export class LmdbMailbox implements Mailbox {
  readonly #engine: Engine
  readonly #context: AppendContext
  #closed = false

  constructor(engine: Engine) {
    this.#engine = engine
    const { ledger, dedup, limits, generation } = engine
    this.#context = { ledger, dedup, limits, generation, randomId }
  }

  get generation(): string {
    return this.#engine.generation
  }

  async append(items: readonly NewMessage[]): Promise<readonly AppendResult[]> {
    this.#open()
    let bytes = 0
    for (const item of items) bytes += item.payload.byteLength
    this.#engine.makeSureOfRoom(bytes)
    const now = this.#engine.clock.now()
    const results: AppendResult[] = []
    let group = 0
    for (const item of items) {
      try {
        const state = this.#engine.findOrCreate(item.device)
        results.push(appendMessage(state, item, now, this.#context))
        if (state.lastGroup > group) group = state.lastGroup
      } catch (error) {
        // Room ran out on the way: what was appended before counts, so the rest is refused alone.
        if (!(error instanceof StoreUnavailable)) throw error
        results.push(UNAVAILABLE)
      }
    }
    await this.#stored(group)
    return results
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    const state = this.#find(request.device)
    const claim = state === null ? null : state.claim
    if (state === null || claim === null || claim.claimId !== request.claimId) {
      return { kind: 'not_owner', claim, generation: this.generation }
    }
    this.#engine.ageNow(state)
    const { position } = request
    if (resolvePosition(state.epochs, state.head, position).kind !== 'valid') return { kind: 'diverged' }
    const { disk, sentBefore } = this.#engine
    const page = readPage(state, position.seq, request.maxMessages, request.maxBytes, disk, sentBefore)
    state.leftOut(position.seq, page.end)
    const result: ReadResult = {
      kind: 'page',
      entries: page.entries,
      next: { epoch: page.end === position.seq ? position.epoch : epochAt(state.epochs, page.end), seq: page.end },
      head: state.head,
      lastEpoch: state.lastEpoch,
    }
    await this.#stored(state.lastGroup)
    return result
  }

  async ack(items: readonly AckItem[]): Promise<readonly AckResult[]> {
    this.#open()
    let group = 0
    const results = items.map((item): AckResult => {
      const state = this.#engine.find(item.device)
      if (state === null) return { counted: false, cursor: 0, pending: 0 }
      const counted = this.#engine.ledger.ack(state, item.position, item)
      if (state.lastGroup > group) group = state.lastGroup
      return { counted, cursor: state.cursor, pending: state.pending }
    })
    await this.#stored(group)
    return results
  }

  async resume({ device, claimId, position }: ResumeRequest): Promise<ResumeResult> {
    const state = this.#find(device)
    if (state === null) return { kind: 'not_owner', claim: null, generation: this.generation }
    this.#engine.ageNow(state)
    const found = position === null ? 'none' : resolvePosition(state.epochs, state.head, position).kind
    if (position !== null) this.#engine.ledger.ack(state, position, {})
    const { claim } = state
    if (claim?.claimId !== claimId) {
      await this.#stored(state.lastGroup)
      return { kind: 'not_owner', claim, generation: this.generation }
    }
    const after = found === 'none' ? 0 : found === 'valid' ? (position?.seq ?? 0) : Infinity
    state.leftOut(0, state.cursor)
    const result: ResumeResult = {
      kind: 'resumed',
      found,
      position: state.cursorPosition,
      head: state.head,
      lastEpoch: state.lastEpoch,
      gaps: gapsBetween(state.exceptions, state.exceptionsFloor, after, state.cursor),
    }
    await this.#stored(state.lastGroup)
    return result
  }

  async claim(device: string, claim: Claim, options: { readonly force: boolean }): Promise<ClaimGranted | ClaimHeld> {
    this.#open()
    const state = this.#engine.findOrCreate(device)
    const held = state.claim
    if (held !== null && held.claimId !== claim.claimId && !options.force) return { ok: false, claim: held }
    if (held === null || held.claimId !== claim.claimId) {
      const now = this.#engine.clock.now()
      state.claim = claim
      state.connectedAt = state.lastSeenAt = state.usedAt = now
      state.forgetWire()
      this.#engine.ledger.online(state)
    }
    const granted: ClaimGranted = {
      ok: true,
      position: state.cursorPosition,
      head: state.head,
      lastEpoch: state.lastEpoch,
      pending: state.pending,
      generation: this.generation,
      subscription: state.subscription,
    }
    await this.#stored(state.lastGroup)
    return granted
  }

  async release(device: string, claimId: string): Promise<boolean> {
    this.#open()
    const state = this.#engine.directory.resident(device)
    if (state === undefined || state.claim?.claimId !== claimId) return false
    state.claim = null
    state.connectedAt = null
    state.lastSeenAt = state.usedAt = this.#engine.clock.now()
    this.#engine.markDirty(state)
    this.#engine.ledger.tellOffline(state, this.#engine.clock.now())
    await this.#stored(state.lastGroup)
    return true
  }

  async keepSubscription(device: string, claimId: string, filter: string | null): Promise<boolean> {
    this.#open()
    const state = this.#engine.directory.resident(device)
    if (state === undefined || state.claim?.claimId !== claimId) return false
    if (state.subscription !== filter) this.#engine.ledger.subscription(state, filter)
    await this.#stored(state.lastGroup)
    return true
  }

  async heads(
    items: ReadonlyArray<{ readonly device: string; readonly acked: Position | null }>,
  ): Promise<ReadonlyArray<HeadResult | null>> {
    this.#open()
    let group = 0
    const results = items.map(({ device, acked }) => {
      const state = this.#engine.find(device)
      if (state === null) return null
      if (state.lastGroup > group) group = state.lastGroup
      return headOf(state, this.generation, acked, this.#engine.disk)
    })
    await this.#stored(group)
    return results
  }

  async info(device: string): Promise<DeviceInfo | null> {
    const state = this.#find(device)
    if (state === null) return null
    const info = deviceInfo(state, this.#engine.disk)
    await this.#stored(state.lastGroup)
    return info
  }

  async list(query: {
    readonly after: string | null
    readonly limit: number
    readonly online?: boolean
    readonly isGone?: (node: string) => boolean
  }): Promise<{ readonly devices: readonly DeviceInfo[]; readonly next: string | null }> {
    this.#open()
    const devices: DeviceInfo[] = []
    let group = 0
    let scanned = 0
    let last: string | null = null
    let more = false
    for (const device of this.#engine.directory.ids(query.after)) {
      if (devices.length >= query.limit || scanned >= LIST_SCAN) {
        more = true
        break
      }
      scanned++
      last = device
      const claim = this.#engine.directory.resident(device)?.claim ?? null
      const online = claim !== null && query.isGone?.(claim.node) !== true
      if (query.online !== undefined && online !== query.online) continue
      const state = this.#engine.find(device)
      if (state === null) continue
      if (state.lastGroup > group) group = state.lastGroup
      devices.push(deviceInfo(state, this.#engine.disk))
    }
    await this.#stored(group)
    return { devices, next: more ? last : null }
  }

  async peek(
    device: string,
    query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): Promise<PeekResult | null> {
    const state = this.#find(device)
    if (state === null) return null
    this.#engine.ageNow(state)
    const result = readPending(state, query.after, query.limit, query.maxBytes, this.#engine.disk)
    await this.#stored(state.lastGroup)
    return result
  }

  async state(device: string, seq: number, epoch: string | null): Promise<MessageState> {
    const state = this.#find(device)
    if (state === null) return { kind: 'no_device' }
    this.#engine.ageNow(state)
    const result = messageState(state, seq, epoch, this.#engine.disk)
    await this.#stored(state.lastGroup)
    return result
  }

  async cancel(device: string, seq: number, epoch: string | null): Promise<CancelResult> {
    const state = this.#find(device)
    if (state === null) return { kind: 'no_device' }
    this.#engine.ageNow(state)
    const result = this.#cancel(state, seq, epoch)
    await this.#stored(state.lastGroup)
    return result
  }

  #cancel(state: InboxState, seq: number, epoch: string | null): CancelResult {
    if (!isPlace(state, seq, epoch)) return { kind: 'gone' }
    const exception = state.exceptionAt(seq)
    if (exception !== undefined) {
      if (exception.reason !== 'cancelled') return { kind: 'gone' }
      return { kind: 'cancelled', maybeDelivered: exception.onWire || seq <= state.sent }
    }
    if (seq <= state.exceptionsFloor) return { kind: 'gone' }
    if (seq <= state.cursor) return { kind: 'already_handled' }
    const maybeDelivered = state.claim !== null || seq <= state.sent
    this.#engine.ledger.except(state, seq, 'cancelled', this.#engine.clock.now())
    return { kind: 'cancelled', maybeDelivered }
  }

  async purge(device: string): Promise<{ readonly existed: boolean; readonly claim: Claim | null }> {
    const state = this.#find(device)
    if (state === null) return { existed: false, claim: null }
    const { claim } = state
    await this.#stored(this.#engine.purge(state).number)
    return { existed: true, claim }
  }

  async ensure(device: string): Promise<void> {
    this.#open()
    const state = this.#engine.findOrCreate(device)
    const now = this.#engine.clock.now()
    if (now - state.usedAt > 60_000) {
      state.usedAt = now
      this.#engine.markDirty(state)
    }
    await this.#stored(state.lastGroup)
  }

  async ping(): Promise<void> {
    this.#open()
    const group = this.#engine.groups.enter()
    group.writes.push(() => writeNumber(this.#engine.tables, 'ping', this.#engine.clock.now()))
    await this.#stored(group.number)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    if (this.#engine.groups.halted) throw new StoreUnavailable('the store has stopped after an internal error')
  }

  #find(device: string): InboxState | null {
    this.#open()
    try {
      return this.#engine.find(device)
    } catch (error) {
      if (error instanceof PostriderError) throw error
      throw new StoreUnavailable('the store could not read', { cause: error })
    }
  }

  async #stored(group: number): Promise<void> {
    const stored = this.#engine.groups.stored(group)
    if (stored === null) return
    try {
      await stored
    } catch (error) {
      if (error instanceof OutcomeUnknown || error instanceof StoreUnavailable) throw error
      throw new OutcomeUnknown('the store failed while it stored', { cause: error })
    }
  }
}
