import t from 'tap'
import { Hold } from '../../courier/holds.js'
import { CLAIM, E1, E2, entry, page, Rig, seen } from '../support/courier-rig.js'

const other = { node: 'n2', claimId: 'claimBBBBBB' }

void t.test('courier machine: what a read says about claim and place', async (t) => {
  const closedBy = (result: Parameters<Rig['machine']['readDone']>[0]) => {
    const rig = new Rig().begun(0, 1)
    rig.machine.takeRead()
    rig.machine.readDone(result)
    return rig.closes
  }
  t.strictSame(closedBy({ kind: 'diverged' }), ['resync'])
  t.strictSame(closedBy({ kind: 'not_owner', claim: other, generation: 'g1' }), ['taken_over'])
  t.strictSame(
    closedBy({ kind: 'not_owner', claim: other, generation: 'g2' }),
    ['resync'],
    'a failover may have done it',
  )
  t.strictSame(closedBy({ kind: 'not_owner', claim: null, generation: 'g1' }), ['resync'], 'nobody took it')
})

void t.test('courier machine: a kick ends exactly its claim', async (t) => {
  const rig = new Rig().begun()
  t.notOk(rig.machine.kick(other.claimId, 'taken_over'))
  t.equal(rig.machine.state, 'live')
  t.ok(rig.machine.kick(CLAIM, 'revoked'))
  t.strictSame(rig.closes, ['revoked'])
  t.equal(rig.machine.state, 'closed')
})

void t.test('courier machine: a closed courier does nothing more', async (t) => {
  const rig = new Rig().begun(0, 1)
  rig.machine.takeRead()
  rig.machine.close(null)
  rig.machine.close('draining')
  rig.machine.readDone(page([entry(1)]))
  rig.notice(1)
  rig.machine.begin()
  rig.machine.drained()
  rig.machine.tick(1e9)
  t.equal(rig.machine.swept(seen({ head: 9 }), true), null)
  t.equal(rig.machine.takeRead(), null)
  t.strictSame([rig.sent, rig.closes], [[], [null]])
})

void t.test('courier machine: kicked while it claims, it never opens', async (t) => {
  const rig = new Rig()
  rig.machine.kick(CLAIM, 'taken_over')
  rig.begun(0, 1)
  t.strictSame([rig.machine.state, rig.reads], ['closed', 0])
})

void t.test('courier machine: what a sweep finds', async (t) => {
  void t.test('close: the claim is gone', async (t) => {
    const code = (found: Parameters<Rig['machine']['swept']>[0]) => {
      const rig = new Rig().begun()
      t.equal(rig.machine.swept(found, true), 'close')
      return rig.closes
    }
    t.strictSame(code(null), ['resync'])
    t.strictSame(code(seen({ claim: null })), ['resync'])
    t.strictSame(code(seen({ claim: other })), ['taken_over'])
    t.strictSame(code(seen({ claim: other, generation: 'g2' })), ['resync'])
  })
  void t.test('look: another epoch, or less than was sent', async (t) => {
    for (const found of [seen({ head: 3, lastEpoch: E2 }), seen({ head: 2 })]) {
      const rig = new Rig().begun(3)
      rig.machine.sweepAsked()
      t.equal(rig.machine.swept(found, true), 'look')
      t.equal(rig.reads, 1)
      t.equal(rig.machine.swept(found, true), null, 'once')
    }
  })
  void t.test('head: messages that no notice told of', async (t) => {
    const rig = new Rig().begun(3)
    rig.machine.sweepAsked()
    t.equal(rig.machine.swept(seen({ head: 5 }), true), 'head')
    t.equal(rig.reads, 1)
    t.equal(rig.counters.noticesMissed, 2)
  })
  void t.test('head, while a page is on its way', async (t) => {
    const rig = new Rig().begun(0, 1)
    rig.machine.takeRead()
    rig.machine.swept(seen({ head: 2 }), true)
    rig.machine.readDone(page([entry(1)]))
    t.equal(rig.reads, 2)
  })
  void t.test('ack: the stored cursor is behind', async (t) => {
    const rig = new Rig().begun()
    rig.notice(1)
    rig.ack(0)
    rig.machine.takeFlush()
    t.strictSame(rig.machine.sweepAsked(), { epoch: E1, seq: 1 })
    rig.machine.flushDone()
    t.equal(rig.machine.swept(seen({ head: 1, pending: 1, ackedSeq: 1 }), true), null, 'the flush was on its way')
    rig.machine.sweepAsked()
    t.equal(rig.machine.swept(seen({ head: 1, pending: 1, ackedSeq: 1 }), true), 'ack')
    t.strictSame(rig.machine.takeFlush(), { position: { epoch: E1, seq: 1 }, sent: null, received: null })
  })
  void t.test('resync: messages pend that an idle courier does not have', async (t) => {
    const rig = new Rig().begun(1)
    const found = seen({ head: 1, pending: 1 })
    rig.machine.sweepAsked()
    t.equal(rig.machine.swept(found, true), 'resync')
    t.strictSame(rig.closes, ['resync'])
  })
  void t.test('no resync when it is not subscribed, has messages in flight, or was busy meanwhile', async (t) => {
    const found = seen({ head: 1, pending: 1 })
    const paused = new Rig().claimed(1)
    paused.machine.sweepAsked()
    t.equal(paused.machine.swept(found, true), null)
    const inFlight = new Rig().begun()
    inFlight.notice(1)
    inFlight.machine.sweepAsked()
    t.equal(inFlight.machine.swept(found, true), null)
    const busy = new Rig().begun()
    busy.machine.sweepAsked()
    busy.notice(1)
    busy.ack(0)
    busy.machine.takeFlush()
    busy.machine.flushDone()
    t.equal(busy.machine.swept(found, true), null)
    t.strictSame([paused.closes, inFlight.closes, busy.closes], [[], [], []])
  })
})

void t.test('courier machine: a claim in doubt', async (t) => {
  const rig = new Rig({ window: 1, pageMessages: 2 }).begun(0, 2)
  rig.machine.takeRead()
  rig.machine.readDone(page([entry(1), entry(2)]))
  rig.machine.unconfirmed()
  rig.ack(0)
  t.strictSame(rig.sent, ['1'], 'nothing is sent, not even what was read')
  t.equal(rig.machine.holdsNow, Hold.claimsUnconfirmed)
  rig.machine.swept(seen({ head: 2, pending: 1 }), false)
  t.equal(rig.machine.holdsNow, Hold.claimsUnconfirmed, 'a sweep that asked before does not confirm')
  rig.machine.swept(seen({ head: 2, pending: 1 }), true)
  t.equal(rig.machine.holdsNow, 0)
  t.equal(rig.reads, 2)
})

void t.test('courier machine: deadlines', async (t) => {
  void t.test('in flight and not a byte from the device for a minute', async (t) => {
    const rig = new Rig().begun()
    rig.machine.tick(1_000)
    rig.machine.tick(500_000)
    rig.notice(1)
    rig.machine.tick(500_500)
    rig.machine.tick(560_400)
    rig.machine.heard()
    rig.machine.tick(560_900)
    rig.machine.tick(620_800)
    t.strictSame(rig.closes, [])
    rig.machine.tick(620_900)
    t.strictSame(rig.closes, ['slow_consumer'])
  })
  void t.test('nothing in flight: it may be silent for ever', async (t) => {
    const rig = new Rig().begun()
    rig.notice(1)
    rig.ack(0)
    for (let now = 0; now < 1e6; now += 50_000) rig.machine.tick(now)
    t.strictSame(rig.closes, [])
  })
  void t.test('no byte leaves the full buffer for ten seconds', async (t) => {
    const rig = new Rig().begun()
    rig.buffered = 5_000
    rig.notice(1)
    rig.machine.tick(1_000)
    rig.machine.tick(10_900)
    rig.buffered = 4_999
    rig.machine.heard()
    rig.machine.tick(11_000)
    rig.machine.heard() // bytes come, but none leave
    rig.machine.tick(20_900)
    t.strictSame(rig.closes, [], 'slow, but reading')
    rig.machine.tick(21_000)
    t.strictSame(rig.closes, ['slow_consumer'])
  })
  void t.test('who acknowledges also reads', async (t) => {
    const rig = new Rig().begun()
    rig.notice(1)
    rig.buffered = 5_000
    rig.notice(2)
    rig.machine.tick(0)
    rig.machine.tick(9_000)
    rig.ack(0)
    rig.machine.tick(10_000)
    rig.machine.tick(19_000)
    t.strictSame(rig.closes, [])
  })
})
