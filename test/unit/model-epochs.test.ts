import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import {
  ackedSeq,
  endOfStretch,
  epochAt,
  EPOCHS_KEPT,
  type EpochStart,
  lastEpoch,
  resolvePosition,
  startEpoch,
} from '../../core/model/epochs.js'

// a: 1–3, b: 4–4, c: nothing (the store changed twice without an append between), d: 5–9
const LIST: readonly EpochStart[] = [
  { epoch: 'a', firstSeq: 1 },
  { epoch: 'b', firstSeq: 4 },
  { epoch: 'c', firstSeq: 5 },
  { epoch: 'd', firstSeq: 5 },
]
const HEAD = 9

t.test('epochs: a stretch ends before the next one begins, the last one at head', async (t) => {
  t.strictSame(
    LIST.map((_, i) => endOfStretch(LIST, i, HEAD)),
    [3, 4, 4, 9],
  )
})

t.test('epochs: valid, past, unknown', async (t) => {
  const resolve = (epoch: string, seq: number) => resolvePosition(LIST, HEAD, { epoch, seq })
  t.strictSame(resolve('a', 0), { kind: 'valid', seq: 0 })
  t.strictSame(resolve('a', 3), { kind: 'valid', seq: 3 })
  t.strictSame(resolve('a', 4), { kind: 'past', seq: 3 })
  t.strictSame(resolve('c', 4), { kind: 'valid', seq: 4 })
  t.strictSame(resolve('c', 5), { kind: 'past', seq: 4 })
  t.strictSame(resolve('d', 9), { kind: 'valid', seq: 9 })
  t.strictSame(resolve('d', 10), { kind: 'past', seq: 9 })
  t.strictSame(resolve('x', 1), { kind: 'unknown' })
  t.strictSame(resolvePosition([], 0, { epoch: 'a', seq: 0 }), { kind: 'unknown' })
})

t.test('epochs: an ack counts up to the end of its stretch', async (t) => {
  const acked = (epoch: string, seq: number) => ackedSeq(LIST, HEAD, { epoch, seq })
  t.strictSame([acked('a', 2), acked('a', 8), acked('b', 8), acked('d', 8), acked('d', 99)], [2, 3, 4, 8, 9])
  t.equal(acked('x', 2), null)
})

t.test('epochs: the epoch of a message, and of a cursor that stands there', async (t) => {
  t.strictSame(
    [0, 1, 3, 4, 5, 9, 10].map((seq) => epochAt(LIST, seq)),
    ['a', 'a', 'a', 'b', 'd', 'd', 'd'],
  )
  t.equal(lastEpoch(LIST), 'd')
  t.throws(() => epochAt([], 1), RangeError)
  t.throws(() => lastEpoch([]), RangeError)
})

t.test('epochs: a new one begins with the next append; the list is never changed in place', async (t) => {
  const before = structuredClone(LIST)
  t.strictSame(startEpoch(LIST, 'e', HEAD, 0), [...LIST, { epoch: 'e', firstSeq: 10 }])
  t.strictSame(LIST, before)
})

type Step =
  | { readonly kind: 'append'; readonly count: number }
  | { readonly kind: 'ack'; readonly back: number }
  | { readonly kind: 'generation' }

/** What happened to a log: appends, acks, changes of generation. */
const history: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('append' as const), count: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('ack' as const), back: fc.nat(6) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('generation' as const) }) },
  ),
  { maxLength: 120, size: 'max' },
)

interface Replay {
  epochs: readonly EpochStart[]
  head: number
  cursor: number
  /** epochs of the messages 1 … head */
  truth: string[]
  all: string[]
}

function replay(steps: readonly Step[], check: (log: Replay) => void): void {
  const log: Replay = { epochs: [{ epoch: 'e0', firstSeq: 1 }], head: 0, cursor: 0, truth: [], all: ['e0'] }
  for (const step of steps) {
    if (step.kind === 'append') {
      for (let i = 0; i < step.count; i++) {
        log.head++
        log.truth.push(lastEpoch(log.epochs))
      }
    } else if (step.kind === 'ack') log.cursor = Math.max(log.cursor, log.head - step.back)
    else {
      const epoch = `e${log.all.length}`
      log.all.push(epoch)
      log.epochs = startEpoch(log.epochs, epoch, log.head, log.cursor)
    }
    check(log)
  }
}

t.test('epochs: every message after the cursor keeps its epoch, and the newest 16 are kept', async (t) => {
  fc.assert(
    fc.property(history, (steps) =>
      replay(steps, ({ epochs, head, cursor, truth, all }) => {
        for (let seq = cursor + 1; seq <= head; seq++) {
          const epoch = truth[seq - 1] ?? ''
          assert.equal(epochAt(epochs, seq), epoch)
          assert.deepEqual(resolvePosition(epochs, head, { epoch, seq }), { kind: 'valid', seq })
        }
        const kept = epochs.map((e) => e.epoch)
        assert.deepEqual(kept, all.slice(-kept.length), 'the newest, in order')
        assert.ok(kept.length >= Math.min(EPOCHS_KEPT, all.length))
        for (let i = 1; i < epochs.length; i++) assert.ok((epochs[i - 1]?.firstSeq ?? 0) <= (epochs[i]?.firstSeq ?? 0))
      }),
    ),
  )
  t.pass()
})

t.test('epochs: the list is bounded once nothing after the cursor needs more', async (t) => {
  fc.assert(
    fc.property(history, (steps) => {
      replay(steps, () => {})
      let last: Replay | undefined
      replay([...steps, { kind: 'ack', back: 0 }, { kind: 'generation' }], (log) => (last = log))
      assert.ok((last?.epochs.length ?? 0) <= EPOCHS_KEPT)
    }),
  )
  t.pass()
})

t.test('epochs: an ack never counts past what its epoch held, nor past head', async (t) => {
  fc.assert(
    fc.property(history, fc.nat(20), fc.nat(300), (steps, which, seq) =>
      replay(steps, ({ epochs, head, truth, all }) => {
        const epoch = all[which % all.length] ?? ''
        const counted = ackedSeq(epochs, head, { epoch, seq })
        if (counted === null) return
        assert.ok(counted <= Math.min(seq, head))
        const later = truth.findIndex((e) => all.indexOf(e) > all.indexOf(epoch))
        if (later !== -1) assert.ok(counted <= later, 'nothing of a later epoch is acknowledged by an earlier one')
      }),
    ),
  )
  t.pass()
})
