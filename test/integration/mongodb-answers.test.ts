// Questions about many devices at once, while those devices change: each is found, by looks and by changes.

import t from 'tap'
import { accepted, message, range } from '../conformance/messages.js'
import { Databases } from '../support/mongodb/factory.js'
import { placeOn } from '../support/mongodb/place.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { LONG } from '../support/road/wait.js'

const DEVICES = 600
const ROUNDS = LONG ? 200 : 25

const ids = range(1, DEVICES).map((n) => `device-${n}`)
/** Sizes differ, so that documents find no room where they are. */
const payload = (n: number): Buffer => Buffer.alloc(20 + ((n * 197) % 900), 'x')

t.test('mongodb answers: no device is missed while all of them change', { skip: noMongo }, async (t) => {
  const databases = new Databases(await startMongo())
  t.teardown(() => databases.end())
  const open = placeOn(t, databases)
  const [writer, reader] = [await open(), await open()]
  /** A message to each, which each acknowledges. */
  const change = async (round: number): Promise<void> => {
    const results = await writer.mailbox.append(ids.map((id, i) => message(id, { payload: payload(i * 31 + round) })))
    const positions = results.map(accepted)
    await writer.mailbox.ack(positions.map(({ seq, epoch }, i) => ({ device: ids[i] ?? '', position: { seq, epoch } })))
  }
  await change(0)
  const state = { done: false }
  const writing = (async () => {
    for (let round = 1; !state.done; round++) await change(round)
  })()
  let [missed, uncounted] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    const heads = await reader.mailbox.heads(ids.map((device) => ({ device, acked: null })))
    missed += heads.filter((head) => head === null).length
    // A change that finds no device says so.
    const results = await reader.mailbox.ack(
      heads.flatMap((head, i) => (head === null ? [] : [{ device: ids[i] ?? '', position: head.cursor }])),
    )
    uncounted += results.filter(({ cursor }) => cursor === 0).length
  }
  state.done = true
  await writing
  t.equal(missed, 0, 'every look found its device')
  t.equal(uncounted, 0, 'and so did every change')
})
