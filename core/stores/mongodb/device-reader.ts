// Reading messages: what a page covers is decided on the state (pages.ts), then the bodies are fetched. Nothing is locked: when the
// device changed under a read, it begins again.

import { StoreUnavailable } from '../../errors.js'
import type { Logger } from '../../log.js'
import { epochAt } from '../../model/epochs.js'
import type { PageEntry, PeekResult, ReadRequest, ReadResult } from '../../ports/mailbox.js'
import { fetchBodies, type Fetched } from './bodies.js'
import type { Collections } from './collections.js'
import type { LookKind } from './device-looks.js'
import { type Chunk, type DeviceState, lastOf } from './device-state.js'
import type { DeviceChange } from './device-steps.js'
import { explainUnanswered } from './mongo-errors.js'
import { planPage, planPeek } from './pages.js'

/** How often a read may find that the device changed under it. */
const READ_TRIES = 12

export interface Look {
  /** As time has made it; nothing of that is written. */
  readonly state: DeviceState
  readonly document: unknown
}

export interface ReaderContext {
  readonly collections: Collections
  readonly log: Logger
  readonly generation: () => string
  readonly look: (device: string, kind: LookKind) => Promise<Look | null>
  readonly change: <T>(device: string, apply: DeviceChange<T>['apply']) => Promise<T>
}

export class DeviceReader {
  readonly #context: ReaderContext

  constructor(context: ReaderContext) {
    this.#context = context
  }

  async read(request: ReadRequest): Promise<ReadResult> {
    let missing: Chunk | null = null
    for (let tries = 0; tries < READ_TRIES; tries++) {
      const result: ReadResult | Chunk | null = await this.#readOnce(request)
      if (result === null) continue
      if ('kind' in result) return result
      // The second time, and still referred to: it is lost.
      if (missing?.id === result.id) await this.#giveUp(request.device, result)
      missing = result
    }
    throw new StoreUnavailable('the device changes faster than it can be read')
  }

  /** Null: something had to be written first. A chunk: its document is not there. */
  async #readOnce(request: ReadRequest): Promise<ReadResult | Chunk | null> {
    const { look, change, generation } = this.#context
    const { device, claimId, position } = request
    const found = await look(device, 'bodies')
    if (found === null) return { kind: 'not_owner', claim: null, generation: generation() }
    const { state, document } = found
    if (!state.owns(claimId)) return { kind: 'not_owner', claim: state.fields.claim, generation: generation() }
    const plan = planPage(state, position, request)
    if (plan === null) return { kind: 'diverged' }
    if (state.changed || state.hasOnWire(position.seq, plan.next.seq)) {
      // What this read leaves out must be known to be off the wire before it is left out.
      await change(device, (now) => {
        if (now === null || !now.owns(claimId)) return
        const planned = planPage(now, position, request)
        if (planned !== null) now.leftOut(position.seq, planned.next.seq)
      })
      return null
    }
    const seqs = plan.entries.flatMap((entry) => (entry.kind === 'message' ? [entry.seq] : []))
    const fetched = await this.#fetch(state, document, seqs)
    if (fetched.kind === 'missing') return fetched.chunk
    const entries = plan.entries.map((entry): PageEntry => {
      if (entry.kind === 'exception') return entry
      const message = fetched.messages.get(entry.seq)
      if (message === undefined) throw new RangeError(`message ${entry.seq} of a log is not where it should be`)
      return { kind: 'message', epoch: entry.epoch, message, redelivered: entry.redelivered }
    })
    return { kind: 'page', entries, next: plan.next, head: state.fields.head, lastEpoch: state.lastEpoch }
  }

  async #fetch(state: DeviceState, document: unknown, seqs: readonly number[]): Promise<Fetched> {
    try {
      return await fetchBodies(this.#context.collections, state, document, seqs)
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  /** Messages whose document is lost will not be delivered: the device and the backend are told so. */
  async #giveUp(device: string, lost: Chunk): Promise<void> {
    this.#context.log.error({ messages: lost.count }, 'stored_messages_lost')
    await this.#context.change(device, (state, moment) => {
      if (state === null || !state.chunks.some(({ id }) => id === lost.id)) return
      for (let seq = lost.from; seq <= lastOf(lost); seq++) state.except(seq, 'retention', moment.now)
      state.leftOut(lost.from - 1, lastOf(lost))
    })
  }

  async peek(
    device: string,
    query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): Promise<PeekResult | null> {
    for (let tries = 0; tries < READ_TRIES; tries++) {
      const found = await this.#context.look(device, 'bodies')
      if (found === null) return null
      const { state, document } = found
      const { seqs, more } = planPeek(state, query)
      const fetched = await this.#fetch(state, document, seqs)
      if (fetched.kind === 'missing') continue
      const messages = seqs.flatMap((seq) => {
        const message = fetched.messages.get(seq)
        return message === undefined ? [] : [{ epoch: epochAt(state.fields.epochs, seq), message }]
      })
      return { messages, more }
    }
    throw new StoreUnavailable('messages that wait cannot be found')
  }
}
