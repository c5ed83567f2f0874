import t from 'tap'
import type { Position } from '../../core/model/message.js'
import { Hold } from '../../courier/holds.js'
import { TOO_EARLY } from '../../courier/machine-resume.js'
import { CLAIM, E1, E2, entry, exception, page, resumed, Rig, seen } from '../support/courier-rig.js'

const at = (seq: number, epoch = E1): Position => ({ epoch, seq })

void t.test(
  'courier machine, stream: nothing is read or sent before the hello, and nothing before the welcome',
  async (t) => {
    const rig = new Rig().claimed(0, 5)
    rig.machine.begin('stream')
    rig.notice(6)
    t.equal(rig.reads, 0)
    t.equal(rig.machine.takeRead(), null)
    t.ok(rig.machine.hello(at(2), 4))
    t.equal(rig.reads, 1)
    t.strictSame(rig.machine.takeResume(), { position: at(2) })
    rig.notice(7)
    t.strictSame(rig.frames, [])
    rig.machine.resumed(resumed(2, { head: 6 }))
    t.strictSame(rig.frames, ['welcome 2/6'])
    t.match(rig.machine.takeRead(), { position: at(2) }, 'then it reads from there')
    rig.machine.readDone(page([entry(3), entry(4)], { head: 7 }))
    t.strictSame(rig.frames, ['welcome 2/6', 'data 2>3', 'data 3>4'])
    t.equal(rig.machine.holdsNow, 0)
  },
)

void t.test(
  'courier machine, stream: what was heard of while the store was asked is read after the welcome',
  async (t) => {
    const rig = new Rig().claimed()
    rig.machine.begin('stream')
    rig.machine.hello(null, 4)
    rig.machine.takeResume()
    rig.notice(1)
    rig.machine.resumed(resumed(0, { found: 'none', head: 0 }))
    t.match(rig.machine.takeRead(), { position: at(0) }, 'the answer may be older than the notice')
  },
)

void t.test('courier machine, stream: live messages follow each other', async (t) => {
  const rig = new Rig().greeted(7)
  rig.notice(8)
  rig.notice(9)
  t.strictSame(rig.frames, ['welcome 7/7', 'data 7>8', 'data 8>9'])
})

void t.test('courier machine, stream: a lost place is told as a reset, right after the welcome', async (t) => {
  for (const found of ['past', 'unknown'] as const) {
    const rig = new Rig().claimed(3)
    rig.machine.begin('stream')
    rig.machine.hello(at(9), 4)
    rig.machine.takeResume()
    rig.machine.resumed(resumed(3, { found, head: 5 }))
    t.strictSame(rig.frames, ['welcome 3/5', 'reset 3/5'], found)
    t.equal(rig.counters.hellos[found], 1)
  }
})

void t.test('courier machine, stream: gaps after the welcome lie below the cursor and leave prev alone', async (t) => {
  const rig = new Rig().claimed(9)
  rig.machine.begin('stream')
  rig.machine.hello(at(2), 4)
  rig.machine.takeResume()
  const gaps = [
    { from: 3, to: 4, reason: 'overflow' as const },
    { from: 6, to: 7, reason: 'handled-elsewhere' as const },
  ]
  rig.machine.resumed(resumed(9, { gaps }))
  rig.notice(10)
  t.strictSame(rig.frames, ['welcome 9/9', 'gap 3-4 overflow', 'gap 6-7 handled-elsewhere', 'data 9>10'])
  t.strictSame(rig.counters.gapsTold, { overflow: 1, retention: 0, 'handled-elsewhere': 1 })
})

void t.test('courier machine, stream: exceptions lengthen the step or are told, by their reason', async (t) => {
  const rig = new Rig({ window: 9, windowMax: 9 }).greeted(0, 9, 9)
  rig.machine.takeRead()
  rig.machine.readDone(
    page([
      entry(1),
      exception(2, 3, 'expired'),
      entry(4),
      exception(5, 5, 'overflow'),
      exception(6, 6, 'cancelled'),
      exception(7, 7, 'retention'),
      exception(8, 8, 'collapsed'),
      entry(9),
    ]),
  )
  t.strictSame(rig.frames.slice(1), ['data 0>1', 'data 1>4', 'gap 5-5 overflow', 'gap 7-7 retention', 'data 7>9'])
})

void t.test('courier machine, stream: what a page leaves out was handled elsewhere', async (t) => {
  const rig = new Rig().greeted(0, 9)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(4), exception(6), entry(7)], { next: 9, head: 9 }))
  t.strictSame(rig.frames.slice(1), [
    'gap 1-3 handled-elsewhere',
    'data 3>4',
    'gap 5-5 handled-elsewhere',
    'data 5>7',
    'gap 8-9 handled-elsewhere',
  ])
})

void t.test('courier machine, stream: not if the device has acknowledged it itself', async (t) => {
  const rig = new Rig().greeted(0, 9)
  rig.machine.takeRead()
  t.equal(rig.machine.ackedUpTo(at(3)), 0, 'a handler that an earlier connection had started')
  rig.machine.readDone(page([entry(5)], { next: 5, head: 9 }))
  t.strictSame(rig.frames.slice(1), ['gap 4-4 handled-elsewhere', 'data 4>5'])
})

void t.test('courier machine, stream: gaps wait for a full socket, in their place', async (t) => {
  const rig = new Rig({ bufferLimit: 10 }).greeted(0, 3)
  rig.machine.takeRead()
  rig.buffered = 10
  rig.machine.readDone(page([entry(1), exception(2, 2, 'overflow'), entry(3)]))
  t.strictSame(rig.frames.slice(1), ['data 0>1'])
  rig.buffered = 0
  rig.machine.drained()
  t.strictSame(rig.frames.slice(1), ['data 0>1', 'gap 2-2 overflow', 'data 2>3'])
})

void t.test('courier machine, stream: a plain device is told of no gap', async (t) => {
  const rig = new Rig().begun(0, 9)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(4), exception(5, 6, 'overflow')], { next: 9, head: 9 }))
  t.strictSame(rig.frames, ['data 0>4'])
})

void t.test(
  'courier machine, stream: a hello without a subscription, and a second one, do not belong there',
  async (t) => {
    const rig = new Rig().claimed()
    t.notOk(rig.machine.hello(null, 4), 'no subscription')
    rig.machine.begin('plain')
    t.notOk(rig.machine.hello(null, 4), 'a plain one')
    const stream = new Rig().claimed()
    stream.machine.begin('stream')
    t.ok(stream.machine.hello(null, 4))
    t.notOk(stream.machine.hello(null, 4), 'before the answer')
    t.strictSame(stream.machine.takeResume(), { position: null })
    stream.machine.resumed(resumed(0, { found: 'none' }))
    t.notOk(stream.machine.hello(null, 4), 'after it')
    t.equal(stream.machine.state, 'live', 'closing is for who asked')
  },
)

void t.test(
  'courier machine, stream: an ack before the hello is too early, before the welcome it counts',
  async (t) => {
    const rig = new Rig().claimed(0, 5)
    t.equal(rig.machine.ackedUpTo(at(1)), TOO_EARLY)
    rig.machine.begin('stream')
    t.equal(rig.machine.ackedUpTo(at(1)), TOO_EARLY)
    t.equal(rig.machine.takeFlush(), null)
    rig.machine.hello(null, 4)
    t.equal(rig.machine.ackedUpTo(at(1)), 0)
    t.strictSame(rig.machine.takeFlush(), { position: at(1), sent: null, received: null }, 'a fact about the device')
    rig.machine.flushDone()
    rig.machine.takeResume()
    rig.machine.resumed(resumed(1, { found: 'none', head: 5 }))
    t.equal(rig.machine.ackedUpTo(at(2)), 0)
    t.strictSame(rig.machine.takeFlush()?.position, at(2))
  },
)

void t.test('courier machine, stream: without a hello it is closed in time, and not before', async (t) => {
  const rig = new Rig({ helloMs: 10_000 }).claimed()
  rig.machine.tick(1_000)
  rig.machine.begin('stream')
  rig.machine.tick(50_000)
  rig.machine.tick(59_999)
  t.strictSame(rig.closes, [])
  rig.machine.pause()
  rig.machine.tick(70_000)
  rig.machine.begin('stream')
  rig.machine.tick(71_000)
  rig.machine.tick(80_999)
  t.strictSame(rig.closes, [], 'the time counts from the subscription')
  rig.machine.tick(81_000)
  t.strictSame(rig.closes, ['protocol_error'])
})

void t.test('courier machine, stream: a store that does not answer is not the device’s fault', async (t) => {
  const rig = new Rig({ helloMs: 10_000 }).claimed()
  rig.machine.begin('stream')
  rig.machine.tick(0)
  rig.machine.hello(null, 4)
  for (let i = 1; i < 10; i++) {
    t.ok(rig.machine.takeResume())
    rig.machine.readFailed()
    rig.machine.retryRead()
    rig.machine.tick(i * 10_000)
  }
  t.equal(rig.reads, 10, 'asked again after each failure')
  t.strictSame(rig.closes, [])
})

void t.test(
  'courier machine, stream: an answer that comes while the claim is in doubt is asked for again',
  async (t) => {
    const rig = new Rig().claimed()
    rig.machine.begin('stream')
    rig.machine.hello(at(0), 4)
    rig.machine.takeResume()
    rig.machine.unconfirmed()
    rig.machine.resumed(resumed(0))
    t.strictSame(rig.frames, [], 'nothing is written')
    t.equal(rig.machine.takeResume(), null)
    rig.machine.swept(seen(), true)
    t.ok(rig.machine.takeResume())
    rig.machine.resumed(resumed(0))
    t.strictSame(rig.frames, ['welcome 0/0'])
  },
)

void t.test('courier machine, stream: UNSUBSCRIBE before and after the welcome', async (t) => {
  const rig = new Rig().claimed()
  rig.machine.begin('stream')
  rig.machine.hello(at(0), 4)
  rig.machine.takeResume()
  rig.machine.pause()
  rig.machine.resumed(resumed(0))
  t.strictSame(rig.frames, [])
  rig.machine.begin('stream')
  t.ok(rig.machine.takeResume(), 'the hello still counts')
  rig.machine.resumed(resumed(0))
  rig.machine.pause()
  rig.notice(1)
  t.strictSame(rig.frames, ['welcome 0/0'])
  rig.machine.begin('stream')
  t.equal(rig.machine.takeResume(), null, 'there is one welcome in a connection')
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1)]))
  t.strictSame(rig.frames, ['welcome 0/0', 'data 0>1'])
})

void t.test('courier machine, stream: a claim that is gone closes at the hello', async (t) => {
  const other = { node: 'n2', claimId: 'other' }
  for (const [claim, generation, code] of [
    [other, 'g1', 'taken_over'],
    [other, 'g2', 'resync'],
    [null, 'g1', 'resync'],
  ] as const) {
    const rig = new Rig().claimed()
    rig.machine.begin('stream')
    rig.machine.hello(null, 4)
    rig.machine.takeResume()
    rig.machine.resumed({ kind: 'not_owner', claim, generation })
    t.strictSame([rig.closes, rig.frames], [[code], []])
  }
})

void t.test('courier machine, stream: the window is what the device asks for, up to the limit', async (t) => {
  const sentOf = (asked: number): number => {
    const rig = new Rig({ window: 4, windowMax: 8, pageMessages: 4 }).greeted(0, 20, asked)
    const request = rig.machine.takeRead()
    rig.machine.readDone(
      page(
        Array.from({ length: request?.maxMessages ?? 0 }, (_, i) => entry(i + 1)),
        { head: 20 },
      ),
    )
    while (rig.machine.takeRead() !== null) rig.machine.readDone(page([], { next: rig.sent.length, head: 20 }))
    return rig.machine.inFlight
  }
  t.equal(sentOf(1), 1)
  t.equal(sentOf(3), 3)
  t.equal(sentOf(6), 6)
  t.equal(sentOf(1_000_000), 8)
})

void t.test('courier machine, stream: acks are cumulative and free the window', async (t) => {
  const rig = new Rig().greeted()
  for (const seq of [1, 2, 3, 4]) rig.notice(seq)
  t.equal(rig.machine.inFlight, 4)
  t.equal(rig.machine.ackedUpTo(at(3)), 3)
  t.equal(rig.machine.inFlight, 1)
  t.equal(rig.counters.acked, 3)
  t.strictSame(rig.machine.takeFlush(), { position: at(3), sent: at(4), received: null })
  rig.machine.flushDone()
  rig.machine.ackedUpTo(at(2))
  t.equal(rig.machine.takeFlush(), null, 'an older one changes nothing')
  rig.machine.ackedUpTo(at(4))
  t.equal(rig.machine.inFlight, 0)
  t.strictSame(rig.machine.takeFlush(), { position: at(4), sent: null, received: null })
})

void t.test('courier machine, stream: half a window of acks is flushed at once', async (t) => {
  const rig = new Rig({ windowMax: 8 }).greeted(0, 0, 8)
  for (let seq = 1; seq <= 8; seq++) rig.notice(seq)
  rig.machine.ackedUpTo(at(3))
  t.strictSame(rig.flushes, ['soon'])
  rig.machine.ackedUpTo(at(4))
  t.strictSame(rig.flushes, ['soon', 'now'])
})

void t.test('courier machine, stream: an ack may be ahead of what was sent, up to what there was', async (t) => {
  const rig = new Rig().greeted(0, 6)
  rig.machine.ackedUpTo(at(5))
  t.strictSame(rig.machine.takeFlush()?.position, at(5))
  rig.machine.flushDone()
  rig.machine.ackedUpTo(at(1_000))
  t.strictSame(rig.machine.takeFlush()?.position, at(6), 'not what comes after the welcome')
  const live = new Rig().greeted(6)
  live.notice(7)
  live.machine.ackedUpTo(at(1_000))
  t.strictSame(live.machine.takeFlush()?.position, at(7))
  live.machine.flushDone()
  live.notice(8)
  t.strictSame(live.machine.takeFlush(), { position: at(0), sent: at(8), received: null }, 'only the watermark')
  t.equal(live.machine.inFlight, 1)
})

void t.test('courier machine, stream: what is acknowledged again frees the window again', async (t) => {
  const rig = new Rig().greeted(0, 2, 1)
  rig.machine.ackedUpTo(at(1))
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2)]))
  t.strictSame(rig.sent, ['1'])
  rig.machine.ackedUpTo(at(1))
  t.strictSame(rig.sent, ['1', '2'])
})

void t.test('courier machine, stream: acks over epochs', async (t) => {
  const rig = new Rig({ windowMax: 9 }).greeted(0, 5, 9)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2), entry(3, E2), entry(4, E2)], { lastEpoch: E2, head: 4 }))
  rig.machine.ackedUpTo(at(9))
  t.equal(rig.machine.inFlight, 2, 'the later epoch is not meant')
  t.strictSame(rig.machine.takeFlush()?.position, at(9), 'the store knows where that epoch ended')
  rig.machine.flushDone()
  rig.machine.ackedUpTo(at(3, E2))
  rig.machine.ackedUpTo(at(2))
  t.equal(rig.machine.inFlight, 1)
  t.strictSame(rig.machine.takeFlush()?.position, at(2), 'an old epoch is told beside the newest')
  rig.machine.flushDone()
  t.strictSame(rig.machine.takeFlush()?.position, at(3, E2))
  rig.machine.flushDone()
  rig.machine.ackedUpTo(at(1, 'unknownAAAA'))
  t.strictSame(rig.machine.takeFlush()?.position, at(1, 'unknownAAAA'), 'the store decides')
  rig.machine.flushDone()
  t.equal(rig.machine.inFlight, 1)
})

void t.test('courier machine, stream: received is a watermark of its own', async (t) => {
  const rig = new Rig().greeted()
  rig.notice(1)
  rig.notice(2)
  rig.machine.takeFlush()
  rig.machine.flushDone()
  t.notOk(rig.machine.wireUntold)
  rig.machine.received(E1, 1)
  t.ok(rig.machine.wireUntold)
  t.notOk(rig.machine.unsettled, 'nobody waits for it')
  t.strictSame(rig.machine.takeFlush(), { position: at(0), sent: null, received: at(1) })
  rig.machine.flushFailed()
  t.strictSame(rig.machine.takeFlush(), { position: at(0), sent: at(2), received: at(1) }, 'told again')
  rig.machine.flushDone()
  t.notOk(rig.machine.wireUntold)
  t.equal(rig.machine.inFlight, 2, 'it handles nothing')
})

void t.test('courier machine, stream: acks that come after the close still count', async (t) => {
  const rig = new Rig().greeted()
  rig.notice(1)
  rig.machine.kick(CLAIM, 'taken_over')
  t.equal(rig.machine.ackedUpTo(at(1)), 1)
  t.strictSame(rig.machine.takeFlush()?.position, at(1))
  t.ok(rig.machine.hello(null, 4), 'and a hello is nobody’s fault')
})

void t.test('courier machine, stream: waiting for a hello is a hold like the others', async (t) => {
  const rig = new Rig().claimed()
  rig.machine.begin('stream')
  t.equal(rig.machine.holdsNow, Hold.noWelcome)
  rig.machine.begin('stream')
  t.equal(rig.machine.holdsNow, Hold.noWelcome, 'subscribing again changes nothing')
})
