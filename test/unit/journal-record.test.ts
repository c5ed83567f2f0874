import t from 'tap'
import {
  decodeHeader,
  encodeHeader,
  encodeRecordOf,
  HEADER_SIZE,
  partsOf,
  readRecords,
  recordSize,
} from '../../core/stores/lmdb/journal-record.js'

const SALT = Buffer.from('sixteen bytes of')
const ID = Buffer.from('of this database')
const OTHER = Buffer.from('another sixteen.')

/** A file of three records and zeros behind them. */
function file(salt = SALT): { readonly content: Buffer; readonly ends: readonly number[] } {
  const pieces = [encodeHeader(ID, 7, salt)]
  const ends: number[] = []
  const groups: ReadonlyArray<readonly [group: number, after: number, parts: readonly string[]]> = [
    [12, 9, ['one']],
    [13, 12, ['two', 'of two parts']],
    [20, 19, ['']],
  ]
  for (const [group, after, parts] of groups) {
    const buffers = parts.map((part) => Buffer.from(part))
    pieces.push(...encodeRecordOf(salt, group, after, buffers))
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0)
    ends.push((ends.at(-1) ?? HEADER_SIZE) + recordSize(parts.length, bytes))
  }
  return { content: Buffer.concat([...pieces, Buffer.alloc(100)]), ends }
}

const groupsOf = (content: Buffer, salt = SALT): readonly number[] =>
  [...readRecords(content, salt)].map(({ group }) => group)

void t.test('journal record: what is written is read', async (t) => {
  const { content, ends } = file()
  t.same(decodeHeader(content, ID, 7), SALT)
  const records = [...readRecords(content, SALT)]
  t.match(records, [
    { group: 12, after: 9, offset: HEADER_SIZE },
    { group: 13, after: 12, offset: ends[0] },
    { group: 20, after: 19, offset: ends[1] },
  ])
  t.same(
    records.map(({ parts }) => parts.map(String)),
    [['one'], ['two', 'of two parts'], ['']],
  )
  const [, second] = records
  if (second === undefined) return
  const alone = content.subarray(second.offset, second.offset + second.bytes)
  t.same(partsOf(alone).map(String), ['two', 'of two parts'])
})

void t.test('journal record: a file that ends anywhere is read up to its last whole record', async (t) => {
  const { content, ends } = file()
  for (let length = HEADER_SIZE; length < content.length; length++) {
    const whole = ends.filter((end) => end <= length).length
    const torn = Buffer.alloc(content.length)
    content.copy(torn, 0, 0, length)
    if (groupsOf(content.subarray(0, length)).length !== whole) t.fail(`cut at ${length}`)
    // What was not written is zeros, and so may look like what was.
    const same = ends.filter((end) => torn.subarray(0, end).equals(content.subarray(0, end))).length
    if (groupsOf(torn).length !== same) t.fail(`zeros from ${length}`)
  }
})

void t.test('journal record: a bit that has changed ends the file there', async (t) => {
  const { content, ends } = file()
  const last = ends.at(-1) ?? 0
  for (let bit = HEADER_SIZE * 8; bit < last * 8; bit++) {
    const damaged = Buffer.from(content)
    const at = bit >> 3
    damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit & 7))
    const whole = ends.filter((end) => end <= at).length
    if (groupsOf(damaged).length !== whole) t.fail(`bit ${bit}`)
  }
})

void t.test('journal record: what another file held is not read', async (t) => {
  t.same(groupsOf(file(OTHER).content), [])
  t.same(groupsOf(file(OTHER).content, OTHER), [12, 13, 20])
})

void t.test('journal record: a header that is not there yet, one of another file, a damaged one', async (t) => {
  t.equal(decodeHeader(Buffer.alloc(0), ID, 7), null)
  t.equal(decodeHeader(Buffer.alloc(4_096), ID, 7), null)
  const { content } = file()
  for (const other of [OTHER, null]) {
    t.throws(() => decodeHeader(content, other, 7), { message: /beside another database/ })
  }
  t.throws(() => decodeHeader(content, ID, 8), { message: /header is damaged/ })
  t.throws(() => decodeHeader(content.subarray(0, 20), ID, 7), { message: /does not begin like/ })
  for (let at = 0; at < 50; at++) {
    const damaged = Buffer.from(content)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    t.throws(() => decodeHeader(damaged, ID, 7), RangeError, `byte ${at}`)
  }
})
