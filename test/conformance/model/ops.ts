// Random sequences of calls on a mailbox, as plain data: the same sequence is given to a driver and to the reference.

import * as fc from 'fast-check'

/** Names an epoch seen before in this run (modulo their number); null: one that never was. */
export type EpochRef = number | null

export interface AppendItem {
  readonly device: string
  readonly dedupId: string | null
  readonly payload: string
  readonly ttl: number | null
}

export type Op =
  | { readonly op: 'append'; readonly items: readonly AppendItem[] }
  | {
      readonly op: 'ack'
      readonly device: string
      readonly epoch: EpochRef
      readonly seq: number
      readonly sent: number | null
      readonly received: number | null
    }
  | {
      readonly op: 'resume'
      readonly device: string
      readonly claimId: string
      readonly epoch: EpochRef
      /** Null: without a position. */
      readonly seq: number | null
    }
  | { readonly op: 'claim'; readonly device: string; readonly claimId: string; readonly force: boolean }
  | { readonly op: 'release'; readonly device: string; readonly claimId: string }
  | { readonly op: 'keep'; readonly device: string; readonly claimId: string; readonly filter: string | null }
  | {
      readonly op: 'read'
      readonly device: string
      readonly claimId: string
      readonly epoch: EpochRef
      readonly seq: number
      readonly maxMessages: number
      readonly maxBytes: number
    }
  | { readonly op: 'cancel'; readonly device: string; readonly seq: number; readonly epoch: EpochRef | 'any' }
  | { readonly op: 'peek'; readonly device: string; readonly after: number; readonly limit: number }
  | { readonly op: 'look'; readonly epoch: EpochRef; readonly seq: number }
  | { readonly op: 'list'; readonly limit: number; readonly online: boolean | null }
  | { readonly op: 'ensure' | 'purge'; readonly device: string }
  | { readonly op: 'advance'; readonly ms: number }
  /** Real time for what a driver does in the background. */
  | { readonly op: 'pause'; readonly ms: number }
  | { readonly op: 'reopen' | 'generation' }

export const DEVICES = ['a', 'b', '__proto__']

const PAUSES = process.env['CI_LONG'] === undefined ? [3, 30] : [3, 30, 300, 2_300]

const device = fc.constantFrom(...DEVICES)
const claimId = fc.constantFrom('c1', 'c2', 'c3')
const seq = fc.integer({ min: 0, max: 14 })
const maybe = fc.oneof(seq, fc.constant(null))
// Mostly a recent epoch: the numbers count from the newest.
const epoch = fc.oneof({ weight: 8, arbitrary: fc.nat(2) }, { weight: 3, arbitrary: fc.nat(8) }, fc.constant(null))

const item: fc.Arbitrary<AppendItem> = fc.record({
  device,
  dedupId: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, fc.constantFrom('x', 'y', 'z')),
  payload: fc.constantFrom('', 'one', 'two', 'x'.repeat(150)),
  ttl: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.constantFrom(2, 5)),
})

const weighted: ReadonlyArray<readonly [weight: number, arbitrary: fc.Arbitrary<Op>]> = [
  [10, fc.record({ op: fc.constant('append'), items: fc.array(item, { minLength: 1, maxLength: 6 }) })],
  [7, fc.record({ op: fc.constant('ack'), device, epoch, seq, sent: maybe, received: maybe })],
  [4, fc.record({ op: fc.constant('resume'), device, claimId, epoch, seq: maybe })],
  [4, fc.record({ op: fc.constant('claim'), device, claimId, force: fc.boolean() })],
  [2, fc.record({ op: fc.constant('release'), device, claimId })],
  [1, fc.record({ op: fc.constant('keep'), device, claimId, filter: fc.constantFrom(null, 'inbox/a', 'inbox/a/+') })],
  [
    7,
    fc.record({
      op: fc.constant('read'),
      device,
      claimId,
      epoch,
      seq,
      maxMessages: fc.integer({ min: 1, max: 5 }),
      maxBytes: fc.constantFrom(1, 300, 10_000),
    }),
  ],
  [5, fc.record({ op: fc.constant('cancel'), device, seq, epoch: fc.oneof(fc.constant('any' as const), epoch) })],
  [2, fc.record({ op: fc.constant('peek'), device, after: seq, limit: fc.integer({ min: 1, max: 5 }) })],
  [2, fc.record({ op: fc.constant('look'), epoch, seq })],
  [
    1,
    fc.record({
      op: fc.constant('list'),
      limit: fc.integer({ min: 1, max: 4 }),
      online: fc.constantFrom(null, true, false),
    }),
  ],
  [1, fc.record({ op: fc.constant('ensure'), device })],
  [1, fc.record({ op: fc.constant('purge'), device })],
  [2, fc.record({ op: fc.constant('advance'), ms: fc.constantFrom(337, 1_777, 3_331) })],
  [2, fc.record({ op: fc.constantFrom('reopen', 'generation') })],
  [1, fc.record({ op: fc.constant('pause'), ms: fc.constantFrom(...PAUSES) })],
]

export const sequences: fc.Arbitrary<Op[]> = fc.array(
  fc.oneof(...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary }))),
  { minLength: 1, maxLength: 100, size: 'max' },
)
