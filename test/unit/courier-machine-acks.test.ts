import t from 'tap'
import { SendWindow } from '../../courier/send-window.js'
import { E1, entry, exception, page, Rig } from '../support/courier-rig.js'

void t.test('courier machine: packet ids run from a random start within their range', async (t) => {
  const rig = new Rig({ window: 4 }, 0x7ffe).begun()
  for (const seq of [1, 2, 3]) rig.notice(seq)
  t.strictSame(rig.packets, [0xfffe, 0xffff, 0x8000])
  t.ok(rig.ack(0) && rig.ack(1) && rig.ack(2))
  t.equal(rig.machine.inFlight, 0)
})

void t.test('courier machine: an unknown packet id is ignored and counted', async (t) => {
  const rig = new Rig().begun()
  rig.notice(1)
  rig.notice(2)
  for (const id of [0x8002, 0xffff, 0x8000 - 0x8000, 1, 0x7fff, -1]) t.notOk(rig.machine.acked(id), `${id}`)
  t.ok(rig.ack(1))
  t.notOk(rig.ack(1), 'acknowledged before')
  t.equal(rig.counters.unknownAcks, 7)
  t.equal(rig.counters.acked, 1)
})

void t.test('courier machine: later acks wait for the older ones, and keep their place in the window', async (t) => {
  const rig = new Rig({ window: 3 }).begun()
  for (const seq of [1, 2, 3]) rig.notice(seq)
  rig.ack(1)
  rig.ack(2)
  t.equal(rig.machine.takeFlush()?.position.seq, 0, 'only the watermark of what was sent')
  rig.machine.flushDone()
  t.equal(rig.machine.inFlight, 3)
  rig.ack(0)
  t.equal(rig.machine.inFlight, 0)
  t.strictSame(rig.machine.takeFlush(), { position: { epoch: E1, seq: 3 }, sent: null, received: null })
})

void t.test('courier machine: exceptions leave no gap in the acks', async (t) => {
  const rig = new Rig().begun(0, 4)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), exception(2, 3), entry(4)]))
  rig.ack(0)
  rig.ack(1)
  t.equal(rig.machine.takeFlush()?.position.seq, 4)
})

void t.test('courier machine: flushes are asked for soon, and at once from half a window on', async (t) => {
  const rig = new Rig({ window: 8 }).begun()
  for (let seq = 1; seq <= 8; seq++) rig.notice(seq)
  rig.ack(0)
  rig.ack(1)
  t.strictSame(rig.flushes, ['soon'])
  rig.ack(2)
  rig.ack(3)
  t.strictSame(rig.flushes, ['soon', 'now'])
  rig.ack(4)
  t.strictSame(rig.flushes, ['soon', 'now'], 'asked once')
  t.equal(rig.machine.takeFlush()?.position.seq, 5)
  rig.ack(5)
  t.equal(rig.machine.takeFlush(), null, 'one at a time')
  rig.machine.flushDone()
  t.equal(rig.flushes.at(-1), 'soon', 'what came meanwhile')
  t.equal(rig.machine.takeFlush()?.position.seq, 6)
})

void t.test('courier machine: a failed flush is repeated with the newest position', async (t) => {
  const rig = new Rig().begun()
  rig.notice(1)
  rig.notice(2)
  rig.ack(0)
  rig.machine.takeFlush()
  rig.machine.flushFailed()
  t.equal(rig.flushes.length, 2)
  t.ok(rig.machine.unsettled)
  rig.ack(1)
  t.strictSame(rig.machine.takeFlush(), {
    position: { epoch: E1, seq: 2 },
    sent: { epoch: E1, seq: 2 },
    received: null,
  })
  rig.machine.flushDone()
  t.notOk(rig.machine.unsettled)
})

void t.test('courier machine: what was only sent is flushed as a watermark that moves no cursor', async (t) => {
  const rig = new Rig().begun(5)
  t.equal(rig.machine.takeFlush(), null)
  rig.notice(6)
  t.ok(rig.machine.wireUntold)
  t.strictSame(rig.machine.takeFlush(), {
    position: { epoch: E1, seq: 0 },
    sent: { epoch: E1, seq: 6 },
    received: null,
  })
  t.notOk(rig.machine.wireUntold)
  rig.machine.flushFailed()
  t.ok(rig.machine.wireUntold, 'a failed one is told again')
})

void t.test('courier machine: PUBACKs that come while it closes still count', async (t) => {
  const rig = new Rig().begun()
  rig.notice(1)
  rig.machine.close('draining')
  t.ok(rig.ack(0))
  t.equal(rig.machine.takeFlush()?.position.seq, 1)
})

void t.test('send window: finds ids by distance through growth, wrap-around and trimming', async (t) => {
  const window = new SendWindow(0x7ff0)
  const waiting: number[] = []
  let seq = 0
  let oldest = 1
  for (let round = 0; round < 2_000; round++) {
    for (let i = 0; i < (round % 37) + 1; i++) waiting.push(window.push(E1, ++seq, 10, 1_000 + seq))
    t.equal(window.bytes, window.count * 10)
    while (waiting.length > round % 20) {
      const left = window.settle(waiting.shift() ?? -1)
      if (window.leftAt(1) !== 1_000 + oldest) throw new Error(`round ${round}: not the time of message ${oldest}`)
      if (left !== 1 || window.leftSeq !== oldest++) throw new Error(`round ${round}: ${left} left, or not in order`)
    }
    window.trim()
  }
  t.ok(seq > 0x8000, 'all ids were used more than once')
})
