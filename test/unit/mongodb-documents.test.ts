// The pure parts of the MongoDB driver against what a real server answered: the documents that are read, the updates that are built, and
// that a document read again is the state that was written.

import { readFileSync } from 'node:fs'
import { BSON } from 'mongodb'
import t from 'tap'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { readDevice } from '../../core/stores/mongodb/device-document.js'
import { dueAfter } from '../../core/stores/mongodb/due.js'
import { type EntryHead, packHeads, unpackHeads } from '../../core/stores/mongodb/entry-heads.js'
import { packExceptions, unpackExceptions } from '../../core/stores/mongodb/packed-exceptions.js'
import { whatBecame } from '../../core/stores/mongodb/settle.js'
import { generationOf, instanceOf } from '../../core/stores/mongodb/instance.js'
import { StoreClock } from '../../core/stores/mongodb/store-clock.js'
import { numberOfId, uplinkId } from '../../core/stores/mongodb/uplink-document.js'
import { FakeClock } from '../support/fake-clock.js'
import { type Recorded, stepOf, STEPS } from '../support/mongodb/recorded-steps.js'

const FILE = new URL('mongodb-recorded.json', import.meta.url)

/** As the driver reads it: bytes are buffers, numbers are numbers. */
function recorded(): { readonly recorded: readonly Recorded[] } {
  const parsed = BSON.EJSON.parse(readFileSync(FILE, 'utf8'), { relaxed: false })
  const { recorded: steps } = BSON.deserialize(BSON.serialize(parsed), { promoteBuffers: true })
  return { recorded: steps }
}

/** The same by value: what is sent, without the difference between a number and its BSON type. */
const sent = (value: unknown): string =>
  BSON.EJSON.stringify(BSON.deserialize(BSON.serialize({ value })), { relaxed: true })

t.test('mongodb documents: the updates are those that a real server was sent', async (t) => {
  const { recorded: steps } = recorded()
  t.strictSame(
    steps.map(({ name }) => name),
    Object.keys(STEPS),
  )
  for (const { name, before, write } of steps) t.equal(sent(stepOf(name, before).write), sent(write), name)
})

t.test('mongodb documents: what the server made of them is read as the state that was written', async (t) => {
  for (const { name, before, after } of recorded().recorded) {
    const { state, write } = stepOf(name, before)
    const read = readDevice(after)
    t.equal(read.version, state.version + 1, name)
    t.strictSame(read.fields, state.fields, name)
    t.strictSame(read.exceptions, state.exceptions, name)
    t.equal(read.notes.due, dueAfter(state, DEFAULT_MAILBOX_LIMITS), name)
    t.strictSame(read.notes.receipts, state.notes.receipts, name)
    t.equal(read.notes.offlineAt, state.notes.offlineAt, name)
    const spilled = write.kind === 'update' && sent(write).includes('"t":[]')
    if (!spilled) t.strictSame(read.tail, state.tail, name)
    t.equal(read.headOf(state.fields.head)?.size ?? 0, state.headOf(state.fields.head)?.size ?? 0, name)
  }
})

t.test('mongodb documents: a newer version’s fields are written back, a version after that is refused', async (t) => {
  const last = recorded().recorded.at(-1)
  const document = Object(last?.after)
  const newer = { ...document, f: 2, r: { ...document.r, later: 'kept' } }
  t.match(sent(stepOf('a claim', newer).write), '"later":"kept"')
  t.throws(() => readDevice({ ...document, f: 3 }), RangeError)
})

t.test('mongodb documents: heads and exceptions are packed without loss', async (t) => {
  const now = Date.UTC(2030, 5, 1)
  const heads: EntryHead[] = [
    { at: now, expiresAt: 0, size: 64 },
    { at: now, expiresAt: now + 1, size: 70_000 },
    { at: now - 5_000, expiresAt: now + 86_400_000 * 300, size: 16 * 1024 * 1024 },
    { at: now + 1, expiresAt: 0, size: 0 },
  ]
  t.strictSame(unpackHeads(packHeads(heads)), heads)
  t.ok(packHeads(Array.from({ length: 100 }, () => ({ at: now, expiresAt: 0, size: 130 }))).length < 100 * 4 + 8)
  const common = { at: now, bytes: 100, cumulative: 2 ** 45 }
  const ranges = [
    { from: 1, to: 1, reason: 'expired', onWire: true, ...common },
    { from: 3, to: 2_000_000, reason: 'overflow', onWire: false, ...common },
    { from: 2_000_001, to: 2_000_001, reason: 'retention', onWire: true, ...common },
  ] as const
  t.strictSame(unpackExceptions(packExceptions(ranges)), ranges)
  t.throws(() => unpackHeads(Buffer.from([0x80])), RangeError, 'cut short')
})

t.test('mongodb documents: the last steps’ ids tell what became of one', async (t) => {
  const at = { life: 'l', version: 7 }
  const document = (v: number, ...ops: string[]) => ({ n: 'l', v, ops })
  t.equal(whatBecame(at, 'mine', document(8, 'a', 'mine'), false), 'done')
  t.equal(whatBecame(at, 'mine', document(10, 'mine', 'b', 'c'), true), 'done', 'others came behind it')
  t.equal(whatBecame(at, 'mine', document(9, 'other', 'c'), false), 'again', 'another was first: it can never count')
  t.equal(whatBecame(at, 'mine', document(7, 'a'), false), 'unknown', 'it may still come')
  t.equal(whatBecame(at, 'mine', document(7, 'a'), true), 'again', 'the server is through with it')
  t.equal(whatBecame(at, 'mine', document(30, 'x', 'y'), false), 'unknown', 'too long ago')
  t.equal(whatBecame(at, 'mine', { ...document(8, 'mine'), n: 'other life' }, false), 'again')
  t.equal(whatBecame(at, 'mine', null, false), 'unknown')
})

t.test('mongodb documents: a generation is of one primary’s term, and of the mark', async (t) => {
  const id = (n: number) => new BSON.ObjectId(n.toString(16).padStart(24, '0'))
  const primary = (process: number, election: number) =>
    instanceOf({
      type: 'RSPrimary',
      topologyVersion: { processId: id(process), counter: BSON.Long.fromNumber(1) },
      electionId: id(election),
    }) ?? ''
  const of = (mark: string, process: number, election: number) => generationOf(mark, primary(process, election))
  const all = [of('m', 1, 1), of('m', 2, 1), of('m', 1, 2), of('n', 1, 1)]
  t.equal(new Set(all).size, 4)
  t.equal(of('m', 1, 1), all[0])
  t.equal(instanceOf({ type: 'RSSecondary', topologyVersion: null, electionId: null }), null, 'takes no writes')
})

t.test('mongodb documents: the store’s clock keeps to the quickest answer of late', async (t) => {
  const own = new FakeClock(5_000)
  const clock = new StoreClock(own)
  t.equal(clock.now(), 5_000, 'its own until there is an answer')
  const asked = own.monotonic()
  own.advance(10)
  clock.learn(100_000, asked)
  t.equal(clock.now(), 100_005)
  own.advance(1_000)
  const slow = own.monotonic()
  own.advance(500)
  clock.learn(200_000, slow)
  t.equal(clock.now(), 101_505, 'a slow answer says it less exactly')
  own.advance(60_000)
  const late = own.monotonic()
  own.advance(100)
  clock.learn(300_000, late)
  t.equal(clock.now(), 300_050, 'but the old one is forgotten')
})

t.test('mongodb documents: ids of uplink', async (t) => {
  t.equal(numberOfId(uplinkId(17, 'AbC-_123456')), 17)
  for (const id of ['17', '17-', '-AbC-_123456', '17-AbC-_12345', '1700000000000-0', 'x'])
    t.equal(numberOfId(id), null, id)
})
