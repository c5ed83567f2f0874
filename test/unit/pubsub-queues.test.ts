import t from 'tap'
import { Fifo } from '../../broker/pubsub/fifo.js'
import { RetainedWaiting } from '../../broker/pubsub/retained-waiting.js'

void t.test('fifo: what goes in first comes out first, however long it is', async (t) => {
  const fifo = new Fifo<number>()
  t.equal(fifo.shift(), undefined)
  t.equal(fifo.first, undefined)
  let next = 0
  let expected = 0
  for (const [pushes, shifts] of [
    [3, 2],
    [5_000, 4_000],
    [10, 1_011],
    [20_000, 19_000],
    [0, 1_000],
  ] as const) {
    for (let i = 0; i < pushes; i++) fifo.push(next++)
    for (let i = 0; i < shifts; i++) {
      if (fifo.first !== expected || fifo.shift() !== expected++) t.fail(`at ${expected}`)
    }
    t.equal(fifo.length, next - expected)
  }
  t.equal(fifo.shift(), undefined, 'empty again')
  fifo.push(1)
  fifo.clear()
  t.equal(fifo.length, 0)
})

void t.test('retained waiting: the same message waits once for each QoS, until it is sent', async (t) => {
  const waiting = new RetainedWaiting()
  const first = { topic: 'a', payload: Buffer.from('1') }
  const newer = { topic: 'a', payload: Buffer.from('1') }
  t.same([waiting.add(1, first), waiting.add(1, first), waiting.add(0, first)], [true, false, true])
  t.equal(waiting.add(1, newer), true, 'another message of the topic, though it has the same bytes')
  waiting.remove(1, first)
  t.equal(waiting.add(1, newer), false, 'the newer one waits still')
  waiting.remove(1, newer)
  t.equal(waiting.add(1, newer), true, 'sent, so it may wait again')
  waiting.clear()
  t.equal(waiting.add(0, first), true)
})
