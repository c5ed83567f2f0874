// A courier machine with its effects written down, and short ways to say what the store answers.

import type { HeadResult, PageEntry, ReadResult, ResumeResult } from '../../core/ports/mailbox.js'
import type { Position, StoredMessage } from '../../core/model/message.js'
import type { CloseCode, ExceptionReason } from '../../protocol/codes.js'
import type { GapReason } from '../../protocol/frames/frame-types.js'
import { CourierCounters } from '../../courier/courier-counters.js'
import { CourierMachine } from '../../courier/machine.js'
import type { CourierEffects, MachineLimits } from '../../courier/machine-types.js'

type Resumed = Extract<ResumeResult, { kind: 'resumed' }>

export const E1 = 'epochAAAAAA'
export const E2 = 'epochBBBBBB'
export const CLAIM = 'claimAAAAAA'

export const message = (seq: number, bytes = 0): StoredMessage => ({
  seq,
  at: 1,
  expiresAt: null,
  priority: 'normal',
  dedupId: null,
  contentType: '',
  attributes: null,
  payload: new Uint8Array(bytes),
})

export const entry = (seq: number, epoch = E1, redelivered = false, bytes = 0): PageEntry => ({
  kind: 'message',
  epoch,
  message: message(seq, bytes),
  redelivered,
})

export const exception = (from: number, to = from, reason: ExceptionReason = 'expired', epoch = E1): PageEntry => ({
  kind: 'exception',
  epoch,
  from,
  to,
  reason,
})

/** A page of these entries; the head is its end unless said otherwise. */
export function page(
  entries: readonly PageEntry[],
  more: { head?: number; lastEpoch?: string; next?: number } = {},
): ReadResult {
  const last = entries.at(-1)
  const end = more.next ?? (last === undefined ? 0 : last.kind === 'message' ? last.message.seq : last.to)
  return {
    kind: 'page',
    entries,
    next: { epoch: last?.epoch ?? E1, seq: end },
    head: more.head ?? end,
    lastEpoch: more.lastEpoch ?? last?.epoch ?? E1,
  }
}

/** The answer to a hello: the log from `cursor` on. */
export const resumed = (cursor: number, more: Partial<Resumed> = {}): Resumed => ({
  kind: 'resumed',
  found: 'valid',
  position: { epoch: E1, seq: cursor },
  head: cursor,
  lastEpoch: more.position?.epoch ?? E1,
  gaps: [],
  ...more,
})

export const seen = (more: Partial<HeadResult> = {}): HeadResult => ({
  claim: { node: 'n1', claimId: CLAIM },
  generation: 'g1',
  lastEpoch: E1,
  head: 0,
  cursor: { epoch: E1, seq: 0 },
  pending: 0,
  oldestPendingAt: null,
  ackedSeq: null,
  ...more,
})

export class Rig implements CourierEffects {
  /** `seq` of what was sent, `seq+` when marked redelivered. */
  sent: string[] = []
  packets: number[] = []
  /** What a stream device is sent, one word each: `data 4>5` is message 5 with `prev` 4. */
  frames: string[] = []
  reads = 0
  flushes: string[] = []
  closes: Array<CloseCode | null> = []
  buffered = 0
  /** When the messages were accepted that were handled. */
  handledAt: number[] = []
  readonly counters = new CourierCounters()
  readonly machine: CourierMachine

  constructor(limits: Partial<MachineLimits> = {}, firstPacketId = 0) {
    this.machine = new CourierMachine(
      CLAIM,
      firstPacketId,
      {
        counters: this.counters,
        limits: {
          window: 4,
          windowMax: 8,
          windowBytes: 1024 * 1024,
          pageMessages: 4,
          pageBytes: 1024 * 1024,
          bufferLimit: 1000,
          fullBufferMs: 10_000,
          unackedMs: 60_000,
          helloMs: 10_000,
          ...limits,
        },
      },
      this,
    )
  }

  /** Claimed at `cursor` of `head`. */
  claimed(cursor = 0, head = cursor): this {
    this.machine.claimed({
      ok: true,
      position: { epoch: E1, seq: cursor },
      head,
      lastEpoch: E1,
      pending: head - cursor,
      generation: 'g1',
      subscription: null,
    })
    return this
  }

  /** Claimed and subscribed. */
  begun(cursor = 0, head = cursor): this {
    this.claimed(cursor, head)
    this.machine.begin()
    return this
  }

  /** Claimed, subscribed in stream mode and greeted, at `cursor` of `head`. */
  greeted(cursor = 0, head = cursor, window = 4): this {
    this.claimed(cursor, head)
    this.machine.begin('stream')
    this.machine.hello({ epoch: E1, seq: cursor }, window)
    this.machine.takeResume()
    this.machine.resumed(resumed(cursor, { head }))
    return this
  }

  notice(seq: number, epoch = E1, claimId = CLAIM, bytes = 0): void {
    this.machine.notice(epoch, claimId, message(seq, bytes))
  }

  /** The PUBACK of the nth message sent, from 0. */
  ack(nth: number): boolean {
    return this.machine.acked(this.packets[nth] ?? -1)
  }

  sendMessage(epoch: string, { seq }: StoredMessage, packetId: number, redelivered: boolean, prev: number): void {
    this.sent.push(redelivered ? `${seq}+` : `${seq}`)
    this.packets.push(packetId)
    this.frames.push(`data ${epoch === E1 ? '' : `${epoch} `}${prev}>${seq}`)
  }
  handled(at: number): void {
    this.handledAt.push(at)
  }
  sendWelcome({ epoch, seq }: Position, head: number): void {
    this.frames.push(`welcome ${epoch === E1 ? '' : `${epoch} `}${seq}/${head}`)
  }
  sendReset({ seq }: Position, head: number): void {
    this.frames.push(`reset ${seq}/${head}`)
  }
  sendGap(_epoch: string, from: number, to: number, reason: GapReason): void {
    this.frames.push(`gap ${from}-${to} ${reason}`)
  }
  bufferedBytes(): number {
    return this.buffered
  }
  wantRead(): void {
    this.reads++
  }
  wantFlush(urgent: boolean): void {
    this.flushes.push(urgent ? 'now' : 'soon')
  }
  closing(code: CloseCode | null): void {
    this.closes.push(code)
  }
}
