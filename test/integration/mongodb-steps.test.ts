// What the conformance suites cannot see of the MongoDB driver: changes that are cut between any two of their writes, two processes on
// one device, and how large documents become.

import { BSON } from 'mongodb'
import t, { type Test } from 'tap'
import type { NewMessage } from '../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import type { FaultPoint } from '../../core/stores/mongodb/device-commit.js'
import type { MongoStore, MongoStoreOptions } from '../../core/stores/mongodb/open.js'
import { accepted, ack, fill, message, messages, outline, own, push, range, readAll } from '../conformance/messages.js'
import { Databases } from '../support/mongodb/factory.js'
import { placeOn } from '../support/mongodb/place.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'

const skip = { skip: noMongo }
const running: { databases: Promise<Databases> | null } = { databases: null }
const databases = (): Promise<Databases> => (running.databases ??= startMongo().then((server) => new Databases(server)))

/** Opens stores on one empty database, as several processes would. */
const place = async (t: Test) => placeOn(t, await databases())

const identified = (device: string, from: number, count: number): NewMessage[] =>
  range(from, from + count - 1).map((n) => message(device, { dedupId: `id-${n}`, payload: `p${n}` }))

/** Messages and ids 1 … `count`, each exactly once and with its own content, whatever was tried before. */
async function holds(t: Test, store: MongoStore, device: string, count: number): Promise<void> {
  const again = (await store.mailbox.append(identified(device, 1, count))).map(accepted)
  t.ok(
    again.every(({ duplicate }) => duplicate),
    'each id is known',
  )
  t.strictSame(
    again.map(({ seq }) => seq),
    range(1, count),
    'and stands for one message',
  )
  const page = await readAll(store.mailbox, device, 'c', await own(store.mailbox, device, 'c'))
  t.strictSame(outline(page.entries), range(1, count).map(String))
  t.strictSame(
    page.entries.map((entry) => (entry.kind === 'message' ? Buffer.from(entry.message.payload).toString() : '')),
    range(1, count).map((n) => `p${n}`),
  )
}

for (const point of ['read', 'chunks stored', 'dedup ids stored', 'written'] satisfies FaultPoint[]) {
  t.test(`mongodb steps: cut when "${point}", and done again by another process`, skip, async (t) => {
    const open = await place(t)
    const cuts: FaultPoint[] = []
    const cut: MongoStoreOptions['fault'] = async (reached) => {
      if (reached !== point) return
      cuts.push(reached)
      throw new Error('the process ends here')
    }
    let count = 0
    for (let round = 0; round < 6; round++) {
      const batch = identified('d', count + 1, 40)
      count += 40
      const dying = await open({ fault: cut })
      const first = await dying.mailbox.append(batch)
      await dying.close()
      // What was answered with a seq is there: only then may nobody ask again.
      const whole = await open()
      const second = (await whole.mailbox.append(batch)).map(accepted)
      t.strictSame(
        second.map(({ seq }) => seq),
        range(count - 39, count),
      )
      for (const [i, result] of first.entries()) {
        if (result.ok) t.match(second[i], { seq: result.seq, epoch: result.epoch, duplicate: true })
        else t.ok(result.code === 'store_unavailable' || result.code === 'outcome_unknown')
      }
      await whole.close()
    }
    t.ok(cuts.length > 0, 'it was cut')
    await holds(t, await open(), 'd', count)
  })
}

t.test('mongodb steps: an answer that is lost is found in the document', skip, async (t) => {
  const open = await place(t)
  const deaf = await open({
    fault: async (point) => {
      if (point === 'written') throw new Error('the connection is lost')
    },
  })
  const results = (await deaf.mailbox.append(messages('d', 3))).map(accepted)
  t.strictSame(
    results.map(({ seq, duplicate }) => [seq, duplicate]),
    [1, 2, 3].map((seq) => [seq, false]),
    'answered as if it had been heard, without ids',
  )
  t.equal((await deaf.mailbox.info('d'))?.head, 3, 'and not there twice')
})

t.test('mongodb steps: a retry that looked before its id left the document', skip, async (t) => {
  const open = await place(t)
  const gate = { open: (): void => undefined, hold: false }
  const slow = await open({
    fault: async (point) => {
      if (point === 'read' && gate.hold) {
        gate.hold = false
        await new Promise<void>((resolve) => (gate.open = resolve))
      }
    },
  })
  const quick = await open()
  const first = await push(quick.mailbox, 'd', { dedupId: 'x', payload: 'once' })
  gate.hold = true
  const held = slow.mailbox.append([message('d', { dedupId: 'x', payload: 'once' }), message('d', { dedupId: 'y' })])
  while (gate.hold) await new Promise((resolve) => setTimeout(resolve, 5))
  // Meanwhile y is stored by the other, and both leave with a spill.
  const other = await push(quick.mailbox, 'd', { dedupId: 'y' })
  for (let n = 1; n <= 4; n++) await quick.mailbox.append(identified('d', n * 50, 50))
  t.ok((await quick.connection.collections.dedup.countDocuments()) > 60, 'they have left')
  gate.open()
  const answers = (await held).map(accepted)
  t.match(answers, [
    { seq: first.seq, duplicate: true },
    { seq: other.seq, duplicate: true },
  ])
  t.equal((await quick.mailbox.info('d'))?.head, 202)
})

t.test('mongodb steps: four processes append to and acknowledge one device', skip, async (t) => {
  const open = await place(t)
  const stores = await Promise.all(range(1, 4).map(() => open()))
  const seqs: number[] = []
  let epoch = ''
  await Promise.all(
    stores.map(async ({ mailbox }, process) => {
      for (let n = 0; n < 25; n++) {
        const result = await push(mailbox, 'd', { dedupId: `${process}-${n}` })
        seqs.push(result.seq)
        ;({ epoch } = result)
        if (n % 5 === 4) await ack(mailbox, 'd', { epoch, seq: result.seq })
      }
    }),
  )
  t.strictSame(
    seqs.toSorted((a, b) => a - b),
    range(1, 100),
    'every seq once',
  )
  const info = await stores[0]?.mailbox.info('d')
  t.equal((info?.head ?? 0) - (info?.cursor ?? 0), info?.pending)
})

t.test('mongodb steps: documents stay small, whatever waits', skip, async (t) => {
  const open = await place(t)
  const store = await open({ limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 2_000, inboxMaxBytes: 64 * 1024 * 1024 } })
  const { devices, messages: spilled } = store.connection.collections
  const payload = Buffer.alloc(4_096, 'x')
  const fillWith = async (device: string, count: number, bytes: Buffer): Promise<void> => {
    ;(await store.mailbox.append(range(1, count).map(() => message(device, { payload: bytes })))).map(accepted)
  }
  for (let n = 0; n < 20; n++) await fillWith('d', 50, payload)
  t.match(await store.mailbox.info('d'), { pending: 1_000 })
  const sizes = async (collection: typeof devices): Promise<number[]> =>
    (await collection.find({}).toArray()).map((document) => BSON.calculateObjectSize(document))
  const [device = 0] = await sizes(devices)
  const largest = Math.max(...(await sizes(spilled)))
  t.comment(`1,000 × 4 KiB wait: the device's document ${device} bytes, the largest of messages ${largest}`)
  t.ok(device < 128 * 1024)
  t.ok(largest < 1024 * 1024)

  const big = Buffer.alloc(256 * 1024, 'y')
  await fillWith('e', 20, big)
  t.ok(Math.max(...(await sizes(devices))) < 1024 * 1024, 'also with large messages')
  t.ok(Math.max(...(await sizes(spilled))) < 1024 * 1024)

  const page = await readAll(store.mailbox, 'd', 'c', await own(store.mailbox, 'd', 'c'))
  t.strictSame(outline(page.entries), range(1, 1_000).map(String))
  await ack(store.mailbox, 'd', page.next)
  const after = await devices.findOne({ _id: 'd' })
  t.ok(after !== null && BSON.calculateObjectSize(after) < 2_000, 'handled messages leave')
  for (
    let tries = 0;
    (await spilled.countDocuments({ _id: { $regex: '^' }, until: { $gt: new Date(0) } })) > 20;
    tries++
  ) {
    if (tries > 100) throw new Error('documents of handled messages stay')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})

t.test('mongodb steps: messages whose document is lost are given up, and told', skip, async (t) => {
  const open = await place(t)
  const store = await open()
  const position = await own(store.mailbox, 'd', 'c')
  await fill(store.mailbox, 'd', 100)
  await push(store.mailbox, 'd', { payload: 'last' })
  await store.connection.collections.messages.deleteMany({})
  const page = await readAll(store.mailbox, 'd', 'c', position)
  t.strictSame(
    outline(page.entries),
    [...range(1, 100).map((seq) => `${seq} retention`), '101'],
    'a gap for the device, and what is there',
  )
  t.match(await store.mailbox.state('d', 50, null), { state: 'retention' })
})

t.test('mongodb steps: the server is ended', skip, async (t) => {
  await (await running.databases)?.end()
  t.pass()
})
