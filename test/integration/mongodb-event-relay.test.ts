// Events on their way from the documents of their devices to the log: cut in between, brought by several processes at once, and a
// device that is deleted meanwhile. And messages that nobody refers to any more.

import t, { type Test } from 'tap'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { ack, eventually, fill, messages, own, push, range } from '../conformance/messages.js'
import { readEvents, told, word } from '../conformance/event-log/words.js'
import { Databases } from '../support/mongodb/factory.js'
import { placeOn } from '../support/mongodb/place.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'

const skip = { skip: noMongo }
const running: { databases: Promise<Databases> | null } = { databases: null }
const databases = (): Promise<Databases> => (running.databases ??= startMongo().then((server) => new Databases(server)))

/** Each message makes the one before it an event. */
const ONE = { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 1, overflow: 'drop-oldest' } as const

const place = async (t: Test) => placeOn(t, await databases(), ONE)

t.test('mongodb events: a process that ends when they are in the log, but not out of the device', skip, async (t) => {
  const open = await place(t)
  const cuts: string[] = []
  for (let round = 0; round < 3; round++) {
    const dying = await open({
      fault: async (point) => {
        if (point !== 'events in the log') return
        cuts.push(point)
        throw new Error('the process ends here')
      },
    })
    await own(dying.mailbox, 'a', `claim-${round}`)
    for (let i = 0; i < 4; i++) await push(dying.mailbox, 'a')
    await eventually(async () => (cuts.length > round ? true : undefined), 20_000, 'it was cut')
    await dying.close()
  }
  const whole = await open()
  await push(whole.mailbox, 'a')
  await told(
    t,
    whole.events,
    range(1, 12).map((seq) => `overflow a ${seq}`),
  )
})

t.test('mongodb events: four processes bring them, each once and in order', skip, async (t) => {
  const open = await place(t)
  const stores = await Promise.all(range(1, 4).map(() => open()))
  const devices = range(1, 12).map((n) => `d${n}`)
  for (const device of devices) await own(stores[0]?.mailbox ?? never(), device)
  await Promise.all(
    stores.map(async ({ mailbox }) => {
      for (let i = 0; i < 8; i++) await Promise.all(devices.map((device) => push(mailbox, device)))
    }),
  )
  const wanted = devices.length * (4 * 8 - 1)
  const log = stores[0]?.events ?? never()
  const events = await eventually(async () => {
    const found = await readEvents(log)
    return found.length >= wanted ? found : undefined
  }, 30_000)
  t.equal(events.length, wanted)
  for (const device of devices) {
    t.strictSame(
      events.filter((event) => event.device === device).map(word),
      range(1, 31).map((seq) => `overflow ${device} ${seq}`),
    )
  }
  t.equal(new Set(events.map(({ id }) => id)).size, wanted, 'every id is another')
})

t.test('mongodb events: what a device told is kept when it is deleted', skip, async (t) => {
  const open = await place(t)
  const { mailbox, events } = await open()
  const { epoch } = await push(mailbox, 'a', { receipt: true })
  await ack(mailbox, 'a', { epoch, seq: 1 })
  t.match(await mailbox.purge('a'), { existed: true })
  t.strictSame((await readEvents(events)).map(word), ['offline a 1', 'handled a 1'])
})

t.test('mongodb steps: cut before handled messages are removed, nobody sees them again', skip, async (t) => {
  const open = await place(t)
  const cuts: string[] = []
  const dying = await open({
    limits: DEFAULT_MAILBOX_LIMITS,
    fault: async (point) => {
      if (point !== 'chunks let go') return
      cuts.push(point)
      throw new Error('the process ends here')
    },
  })
  await own(dying.mailbox, 'a')
  const { epoch } = await push(dying.mailbox, 'a')
  await dying.mailbox.append(messages('a', 300))
  await ack(dying.mailbox, 'a', { epoch, seq: 250 })
  await dying.close()
  t.ok(cuts.length > 0, 'it was cut')
  const { messages: documents } = dying.connection.collections
  const whole = await open({ limits: DEFAULT_MAILBOX_LIMITS })
  const { messages: left } = whole.connection.collections
  t.not(documents, left)
  const all = await left.find({}, { projection: { until: 1 } }).toArray()
  t.ok(all.length > 0, 'documents stay behind')
  t.ok(
    all.every((document) => document['until'] instanceof Date),
    'and each ends by itself',
  )
  await fill(whole.mailbox, 'a', 10)
  t.match(await whole.mailbox.info('a'), { cursor: 250, head: 311, pending: 61 })
})

t.test('mongodb: is ended', skip, async (t) => {
  await (await running.databases)?.end()
  t.pass()
})

function never(): never {
  throw new Error('there is a store')
}
