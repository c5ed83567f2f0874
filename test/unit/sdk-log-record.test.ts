import * as fc from 'fast-check'
import t from 'tap'
import { DEDUP_KEPT, DEDUP_WINDOW_MS, DedupMemory } from '../../sdk/device/log/dedup-memory.js'
import { EPOCHS_KEPT, LogRecord } from '../../sdk/device/log/log-record.js'
import { readLog, writeLog } from '../../sdk/device/storage/stored-values.js'

void t.test('SDK record: per epoch the highest handled seq, which nothing lowers', async (t) => {
  const record = new LogRecord()
  record.setHandled('a', 5)
  record.setHandled('a', 3)
  record.setHandled('b', 2)
  record.moveTo('a', 1)
  record.moveTo('b', 0)
  t.ok(record.wasHandled('a', 5))
  t.notOk(record.wasHandled('a', 6))
  t.ok(record.wasHandled('b', 2))
  t.notOk(record.wasHandled('b', 3), 'what epoch a has handled says nothing of epoch b')
  t.notOk(record.wasHandled('c', 1))
  t.same(record.position, ['b', 0])
})

void t.test('SDK record: the last 16 epochs are kept, those that changed last', async (t) => {
  const record = new LogRecord()
  for (let i = 0; i < EPOCHS_KEPT; i++) record.setHandled(`e${i}`, 1)
  record.setHandled('e0', 2)
  record.setHandled('new', 1)
  t.equal(record.handled.size, 16)
  t.ok(record.wasHandled('e0', 2))
  t.notOk(record.wasHandled('e1', 1))
})

void t.test('SDK record: starts are counted until the message is handled', async (t) => {
  const record = new LogRecord()
  t.equal(record.attemptsOf('a', 7), 0)
  record.setStarted('a', 7, 1)
  record.setStarted('a', 7, 2)
  record.setStarted('b', 7, 1)
  t.equal(record.attemptsOf('a', 7), 2)
  record.takeBack('a', 7)
  t.equal(record.attemptsOf('a', 7), 1)
  record.takeBack('a', 7)
  t.equal(record.attemptsOf('a', 7), 0)
  record.setStarted('a', 8, 1)
  record.setHandled('a', 8)
  t.same(record.started, [{ epoch: 'b', seq: 7, attempts: 1 }])
  for (let seq = 1; seq <= 3_000; seq++) record.setStarted('c', seq, 1)
  t.equal(record.started.length, 1_024, 'bounded')
})

const position = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(50))

void t.test('SDK record: it comes back from the storage as it was', async (t) => {
  fc.assert(
    fc.property(
      fc.option(position),
      fc.array(position, { maxLength: 20 }),
      fc.array(position, { maxLength: 5 }),
      fc.nat(5_000),
      (place, handled, started, guarded) => {
        const record = new LogRecord(place)
        for (const [epoch, seq] of handled) record.setHandled(epoch, seq)
        for (const [epoch, seq] of started) record.setStarted(epoch, seq, 3)
        const read = readLog(writeLog({ record, guarded }))
        t.same(
          [read.record.position, [...read.record.handled], read.record.started, read.guarded],
          [record.position, [...record.handled], record.started, guarded],
        )
      },
    ),
    { numRuns: 100 },
  )
})

void t.test('SDK dedup memory: only ids from before a reset mean the same message', async (t) => {
  const memory = new DedupMemory()
  memory.remember('order-1', 'a', 1, 1_000)
  t.equal(memory.find('order-1', 'b', 2_000), null, 'no reset: the server sees to it')
  memory.reset()
  memory.remember('order-2', 'b', 2, 2_000)
  t.match(memory.find('order-1', 'b', 3_000), { epoch: 'a', seq: 1 })
  t.equal(memory.find('order-1', 'a', 3_000), null, 'the same epoch')
  t.equal(memory.find('order-1', 'b', 1_000 + DEDUP_WINDOW_MS), null, 'too long ago')
  t.equal(memory.find('order-2', 'c', 3_000), null, 'handled after the reset')
  t.equal(memory.find('order-3', 'b', 3_000), null)
})

void t.test('SDK dedup memory: the last 1,024 ids are remembered, across the storage too', async (t) => {
  const memory = new DedupMemory()
  for (let i = 1; i <= DEDUP_KEPT + 10; i++) memory.remember(`id-${i}`, 'a', i, i)
  memory.remember('id-50', 'a', 5_000, 5_000)
  memory.reset()
  const again = new DedupMemory(memory.entries(), memory.guarded)
  for (const each of [memory, again]) {
    t.equal(each.find('id-11', 'b', 0), null)
    t.match(each.find('id-12', 'b', 0), { seq: 12 })
    t.match(each.find(`id-${DEDUP_KEPT + 10}`, 'b', 0), { seq: DEDUP_KEPT + 10 })
    t.match(each.find('id-50', 'b', 0), { seq: 5_000 }, 'the later one')
    t.equal([...each.entries()].length, DEDUP_KEPT - 1)
  }
  const next = again.remember('new', 'b', 1, 1)
  t.equal(next.index, DEDUP_KEPT + 12)
})
