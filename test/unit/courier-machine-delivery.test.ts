import t from 'tap'
import { E1, E2, entry, exception, page, Rig } from '../support/courier-rig.js'

void t.test('courier machine: a claimed courier sends nothing before it is subscribed', async (t) => {
  const rig = new Rig()
  t.equal(rig.machine.state, 'claiming')
  rig.claimed(0, 2)
  rig.notice(3)
  t.strictSame([rig.sent, rig.reads], [[], 0])
  rig.machine.begin()
  t.equal(rig.machine.state, 'catching-up')
  t.equal(rig.reads, 1)
  t.strictSame(rig.machine.takeRead(), { position: { epoch: E1, seq: 0 }, maxMessages: 4, maxBytes: 1024 * 1024 })
  rig.machine.readDone(page([entry(1), entry(2), entry(3)]))
  t.strictSame(rig.sent, ['1', '2', '3'])
  t.equal(rig.machine.state, 'live')
})

void t.test('courier machine: a live notice goes straight out', async (t) => {
  const rig = new Rig().begun(7)
  rig.notice(8)
  rig.notice(9)
  t.strictSame(rig.sent, ['8', '9'])
  t.equal(rig.reads, 0)
  t.equal(rig.counters.noticesTaken, 2)
  t.equal(rig.counters.sent, 2)
})

void t.test('courier machine: a notice that does not fit only makes it look', async (t) => {
  void t.test('of another claim: ignored', async (t) => {
    const rig = new Rig().begun()
    rig.notice(1, E1, 'claimBBBBBB')
    t.strictSame([rig.sent, rig.reads, rig.machine.state], [[], 0, 'live'])
  })
  void t.test('of another epoch: reads', async (t) => {
    const rig = new Rig().begun(3)
    rig.notice(4, E2)
    t.strictSame([rig.sent, rig.reads], [[], 1])
    rig.machine.takeRead()
    rig.machine.readDone(page([entry(4, E2)]))
    rig.notice(5, E2)
    t.strictSame(rig.sent, ['4', '5'])
  })
  void t.test('past the next seq: reads from its place', async (t) => {
    const rig = new Rig().begun(3)
    rig.notice(5)
    t.strictSame(rig.machine.takeRead()?.position, { epoch: E1, seq: 3 })
    rig.machine.readDone(page([entry(4), entry(5)]))
    t.strictSame(rig.sent, ['4', '5'])
  })
  void t.test('a doubled one: nothing', async (t) => {
    const rig = new Rig().begun()
    rig.notice(1)
    rig.notice(1)
    t.strictSame([rig.sent, rig.reads], [['1'], 0])
  })
})

void t.test('courier machine: while a page is outstanding no notice overtakes it', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.takeRead()
  rig.notice(2)
  rig.notice(1)
  t.strictSame(rig.sent, [])
  rig.machine.readDone(page([entry(1)]))
  t.strictSame(rig.sent, ['1'], 'the answer is older than the notice')
  t.equal(rig.reads, 2, 'so it reads again')
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(2)]))
  t.strictSame(rig.sent, ['1', '2'])
})

void t.test('courier machine: a notice during the claim is not forgotten', async (t) => {
  const rig = new Rig()
  rig.notice(1)
  rig.begun(0, 0)
  t.equal(rig.reads, 1)
})

void t.test('courier machine: the head is what a read says, also when that is less', async (t) => {
  const rig = new Rig().begun(0, 5)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1)], { head: 1 }))
  t.equal(rig.machine.state, 'live')
  rig.notice(2)
  t.strictSame(rig.sent, ['1', '2'])
})

void t.test('courier machine: a late notice of a lost message costs one read, not an endless loop', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.takeRead()
  rig.notice(9)
  rig.machine.readDone(page([entry(1)], { head: 1 }))
  t.equal(rig.reads, 2)
  rig.machine.takeRead()
  rig.machine.readDone(page([], { head: 1, next: 1 }))
  t.equal(rig.reads, 2)
  t.equal(rig.machine.state, 'live')
})

void t.test('courier machine: exceptions are passed over', async (t) => {
  const rig = new Rig().begun(0, 5)
  rig.machine.takeRead()
  rig.machine.readDone(page([exception(1, 2), entry(3), exception(4, 5, 'overflow')]))
  t.strictSame(rig.sent, ['3'])
  rig.notice(6)
  t.strictSame(rig.sent, ['3', '6'], 'the next one follows the last exception')
})

void t.test('courier machine: an empty page may end further on', async (t) => {
  const rig = new Rig().begun(0, 4)
  rig.machine.takeRead()
  rig.machine.readDone(page([], { next: 4, head: 4 }))
  rig.notice(5)
  t.strictSame(rig.sent, ['5'])
})

void t.test('courier machine: DUP is what the store says', async (t) => {
  const rig = new Rig().begun(0, 2)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1, E1, true), entry(2)]))
  t.strictSame(rig.sent, ['1+', '2'])
  t.equal(rig.counters.redelivered, 1)
})

void t.test('courier machine: the window bounds messages in flight', async (t) => {
  const rig = new Rig({ window: 2, pageMessages: 3 }).begun(0, 3)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2), entry(3)], { head: 4 }))
  t.strictSame(rig.sent, ['1', '2'])
  t.equal(rig.machine.inFlight, 2)
  t.equal(rig.counters.windowWaits, 1)
  rig.ack(0)
  t.strictSame(rig.sent, ['1', '2', '3'], 'the rest of the page needs no read')
  t.equal(rig.reads, 1, 'there is no room for more')
  rig.ack(1)
  t.equal(rig.reads, 2)
})

void t.test('courier machine: with a full window a notice waits in the store', async (t) => {
  const rig = new Rig({ window: 1 }).begun()
  rig.notice(1)
  rig.notice(2)
  t.strictSame([rig.sent, rig.reads], [['1'], 0])
  rig.ack(0)
  t.equal(rig.reads, 1)
})

void t.test('courier machine: the window bounds bytes, but one message always fits', async (t) => {
  const rig = new Rig({ windowBytes: 1000 }).begun()
  rig.notice(1, E1, undefined, 5000)
  t.strictSame(rig.sent, ['1'])
  rig.notice(2, E1, undefined, 1)
  t.strictSame(rig.sent, ['1'])
  rig.ack(0)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(2, E1, false, 400), entry(3, E1, false, 400), entry(4, E1, false, 400)]))
  t.strictSame(rig.sent, ['1', '2', '3'])
})

void t.test('courier machine: a page that waits too long is read again', async (t) => {
  const rig = new Rig({ window: 1, pageMessages: 2 }).begun(0, 2)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2)]))
  rig.machine.tick(500)
  rig.machine.tick(1000)
  rig.ack(0)
  t.strictSame(rig.sent, ['1'], 'message 2 may have expired')
  t.equal(rig.reads, 2)
  rig.machine.takeRead()
  rig.machine.readDone(page([exception(2)]))
  t.equal(rig.machine.state, 'live')
})

void t.test('courier machine: the socket', async (t) => {
  void t.test('a full one stops it, a drained one lets it go on', async (t) => {
    const rig = new Rig().begun()
    rig.buffered = 1000
    rig.notice(1)
    rig.notice(2)
    t.strictSame([rig.sent, rig.counters.socketWaits], [['1'], 1])
    rig.machine.drained()
    t.equal(rig.reads, 1)
    rig.buffered = 10
    rig.machine.takeRead()
    rig.machine.readDone(page([entry(2)]))
    t.strictSame(rig.sent, ['1', '2'])
  })
  void t.test('a tick finds that it drained unheard', async (t) => {
    const rig = new Rig().begun()
    rig.buffered = 1000
    rig.notice(1)
    rig.notice(2)
    rig.buffered = 0
    rig.machine.tick(1)
    t.equal(rig.reads, 1)
  })
  void t.test('several causes hold it: all must be gone', async (t) => {
    const rig = new Rig().begun()
    rig.buffered = 1000
    rig.notice(1)
    rig.machine.pause()
    rig.machine.unconfirmed()
    rig.notice(2)
    rig.buffered = 0
    rig.machine.drained()
    rig.machine.begin()
    t.equal(rig.reads, 0, 'the claim is still in doubt')
  })
})

void t.test('courier machine: pause keeps the place', async (t) => {
  const rig = new Rig({ window: 2, pageMessages: 4 }).begun(0, 3)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2), entry(3)]))
  rig.machine.pause()
  t.ok(rig.ack(0), 'acks in flight count')
  t.strictSame(rig.sent, ['1', '2'])
  rig.notice(4)
  rig.machine.begin()
  t.strictSame(rig.machine.takeRead()?.position, { epoch: E1, seq: 2 })
})

void t.test('courier machine: a page that comes to a paused courier is read again later', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.takeRead()
  rig.machine.pause()
  rig.machine.readDone(page([entry(1)]))
  t.strictSame(rig.sent, [])
  rig.machine.begin()
  t.equal(rig.reads, 2)
})

void t.test('courier machine: a failed read is asked for again', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.takeRead()
  rig.machine.readFailed()
  rig.machine.retryRead()
  t.equal(rig.reads, 2)
  t.ok(rig.machine.takeRead())
})

void t.test('courier machine: begin and pause are idempotent', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.begin()
  t.equal(rig.reads, 1)
  rig.machine.pause()
  rig.machine.pause()
  t.equal(rig.machine.takeRead(), null)
})
