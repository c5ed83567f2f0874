// The hub where sockets and disks cannot go: writes that are refused or lost, slow ones, buffers that are full.

import t from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import { FakeLink, message, openHub } from '../support/pubsub/hub-rig.js'

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

const longerThanRemovalsWait = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 450))

async function turns(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !condition(); i++) await turn()
  if (!condition()) throw new Error('waited in vain')
}

void t.test('hub: a publish is answered, and sent on, only when it is stored', async (t) => {
  const rig = await openHub(t)
  const [kept, clean] = [new FakeLink(), new FakeLink()]
  await rig.session('kept', true, kept, '#')
  await rig.session('clean', false, clean, '#')
  let open = (): void => {}
  rig.gate = new Promise((resolve) => (open = resolve))
  let stored = false
  const published = rig.hub.publish(message('a', 'one', 2))?.then(() => (stored = true))
  const behind = rig.hub.publish(message('a', 'two', 1))
  void rig.hub.publish(message('a', 'zero', 0))
  await turn()
  t.same([stored, kept.texts, clean.texts], [false, ['zero'], ['zero']], 'QoS 0 waits for nothing')
  open()
  await published
  await behind
  t.same([stored, kept.texts, clean.texts], [true, ['zero', 'one', 'two'], ['zero', 'one', 'two']])
})

void t.test('hub: what needs no write waits for the writes before it', async (t) => {
  const rig = await openHub(t)
  const clean = new FakeLink()
  await rig.session('clean', false, clean, '#')
  let open = (): void => {}
  rig.gate = new Promise((resolve) => (open = resolve))
  const first = rig.hub.publish(message('a', 'retained', 1, true))
  const second = rig.hub.publish(message('a', 'plain', 1))
  const third = rig.hub.publish(message('a', 'retained again', 1, true))
  const fourth = rig.hub.publish(message('a', 'plain again', 1))
  t.ok(second !== null && fourth !== null)
  await turn()
  t.same(clean.texts, [])
  open()
  await Promise.all([first, second, third, fourth])
  t.same(clean.texts, ['retained', 'plain', 'retained again', 'plain again'])
})

void t.test('hub: a write that is refused changes nothing', async (t) => {
  const rig = await openHub(t)
  const [kept, clean] = [new FakeLink(), new FakeLink()]
  const session = await rig.session('kept', true, kept, 'a')
  await rig.session('clean', false, clean, 'a')
  await rig.hub.publish(message('a', 'one', 1, true))
  rig.outcome = 'refused'
  t.throws(() => rig.hub.publish(message('a', 'no', 1, true)), StoreUnavailable)
  t.throws(() => rig.hub.publish(message('a', 'no', 2), { received: { session, packetId: 7 } }), StoreUnavailable)
  t.throws(() => rig.hub.subscribe(session, [{ filter: 'b', qos: 1 }]), StoreUnavailable)
  t.throws(() => rig.hub.unsubscribe(session, ['a']), StoreUnavailable)
  t.same([kept.texts, clean.texts, session.received.size], [['one'], ['one'], 0])
  rig.outcome = 'stored'
  await rig.hub.publish(message('a', 'two', 1))
  t.same([kept.texts, clean.texts, kept.closes], [['one', 'two'], ['one', 'two'], []])
  t.same([...session.subscriptions.keys()], ['a'])
  const late = new FakeLink()
  await rig.session('late', false, late, 'a')
  t.same(late.texts, ['one'], 'the retained message too')
  t.equal(rig.counters.reloads, 0)
})

void t.test('hub: acknowledged messages are taken out later when the store refuses for a while', async (t) => {
  const rig = await openHub(t)
  const link = new FakeLink()
  const session = await rig.session('c', true, link, 'a')
  await rig.hub.publish(message('a', 'one'))
  rig.outcome = 'refused'
  t.ok(rig.hub.handshakes.acked('c', 1, 1))
  rig.hub.detach(session)
  await longerThanRemovalsWait()
  t.equal(rig.state.sessions.get('c')?.queue.size, 1)
  const again = new FakeLink()
  rig.hub.resume('c', again, () => true)?.begin()
  for (let i = 0; i < 10; i++) await turn()
  t.same(again.packets, [], 'and do not come again meanwhile')
  rig.outcome = 'stored'
  await rig.hub.publish(message('a', 'two'))
  await longerThanRemovalsWait()
  t.same([...(rig.state.sessions.get('c')?.queue.keys() ?? [])], [2])
  t.same(again.texts, ['two'])
})

void t.test('hub: a write that is lost makes it read everything again', async (t) => {
  const rig = await openHub(t)
  const [kept, clean] = [new FakeLink(), new FakeLink()]
  await rig.session('kept', true, kept, 'a')
  await rig.session('clean', false, clean, 'a')
  await rig.hub.publish(message('a', 'one', 1, true))
  rig.outcome = 'lost'
  const lost = [rig.hub.publish(message('a', 'lost', 1, true)), rig.hub.publish(message('b', 'lost', 1, true))]
  for (const publish of lost) await t.rejects(publish ?? Promise.resolve(), StoreUnavailable)
  t.same(kept.closes, ['overload'], 'whoever has a durable session must come again')
  t.same(clean.closes, [])
  rig.outcome = 'stored'
  await turns(() => {
    try {
      rig.hub.writer.mustServe()
      return true
    } catch {
      return false
    }
  })
  t.equal(rig.counters.reloads, 1)
  t.match(rig.counters, { storedSessions: 1, subscriptions: 2, retained: 1 })
  const again = new FakeLink()
  const session = rig.hub.resume('kept', again, () => true)
  session?.begin()
  await turns(() => again.texts.length === 1)
  await rig.hub.publish(message('a', 'two', 1))
  t.same(again.texts, ['one', 'two'])
  t.same(clean.texts, ['one', 'two'])
})

void t.test('hub: meanwhile nothing is taken that could be lost', async (t) => {
  const rig = await openHub(t)
  const clean = new FakeLink()
  const session = await rig.session('clean', false, clean, 'a')
  let open = (): void => {}
  rig.gate = new Promise((resolve) => (open = resolve))
  rig.outcome = 'lost'
  const lost = rig.hub.publish(message('a', 'lost', 1, true))
  rig.outcome = 'stored'
  const under = rig.hub.publish(message('b', 'under way', 1, true))
  open()
  await t.rejects(lost ?? Promise.resolve(), StoreUnavailable)
  t.throws(() => rig.hub.publish(message('a', 'x', 1)), StoreUnavailable)
  t.throws(() => rig.hub.obtain('d', true, new FakeLink()), StoreUnavailable)
  t.throws(() => rig.hub.resume('d', new FakeLink(), () => true), StoreUnavailable)
  t.throws(() => rig.hub.subscribe(session, [{ filter: 'c', qos: 1 }]), StoreUnavailable)
  void rig.hub.publish(message('a', 'zero', 0))
  t.same(clean.texts, ['zero'])
  await under
  await turns(() => rig.counters.retained === 1)
})

void t.test('hub: wills that must not be published are forgotten when the store can write again', async (t) => {
  const rig = await openHub(t)
  const owner = {}
  await rig.hub.wills.keep('c', owner, message('w', 'gone'))
  rig.outcome = 'refused'
  rig.hub.wills.forget('c', owner)
  rig.outcome = 'lost'
  await t.rejects(rig.hub.publish(message('r', 'x', 1, true)) ?? Promise.resolve(), StoreUnavailable)
  rig.outcome = 'stored'
  await turns(() => rig.state.wills.size === 0)
})

void t.test('hub: an older connection does not take the will of a newer one along', async (t) => {
  const rig = await openHub(t)
  const link = new FakeLink()
  await rig.session('watcher', false, link, '#')
  const [older, newer] = [{}, {}]
  await rig.hub.wills.keep('c', older, message('w', 'of the older'))
  await rig.hub.wills.keep('c', newer, message('w', 'of the newer'))
  rig.hub.wills.publish('c', older, message('w', 'of the older'))
  await turns(() => link.texts.length === 1)
  t.equal(Buffer.from(rig.state.wills.get('c')?.payload ?? []).toString(), 'of the newer')
  rig.hub.wills.forget('c', older)
  await turn()
  t.equal(rig.state.wills.size, 1)
  rig.hub.wills.publish('c', newer, message('w', 'of the newer'))
  await turns(() => link.texts.length === 2 && rig.state.wills.size === 0)
})

void t.test('session: a slow reader holds up nobody, and what waits for it is bounded', async (t) => {
  const rig = await openHub(t, { queueMax: 10, bufferMax: 1_000 })
  const [slow, quick] = [new FakeLink(), new FakeLink()]
  const session = await rig.session('slow', false, slow, 'a')
  await rig.session('quick', false, quick, 'a')
  slow.buffered = 1_000
  for (let i = 0; i < 30; i++) {
    void rig.hub.publish(message('a', `${i}`, i % 2 === 0 ? 0 : 1))
    if (i % 2 === 1) rig.hub.handshakes.acked('quick', (i + 1) / 2, 1)
  }
  t.equal(quick.texts.length, 30)
  t.same(slow.texts, [])
  t.match(rig.counters.dropped, { slow_reader: 5, queue_full: 5 })
  slow.buffered = 0
  session.pump()
  t.same(
    slow.texts.slice(0, 10),
    Array.from({ length: 10 }, (_, i) => `${2 * i}`),
    'the first ones of each QoS, in order',
  )
  t.same(
    slow.texts.slice(10),
    Array.from({ length: 10 }, (_, i) => `${2 * i + 1}`),
  )
})

void t.test('session: a buffer from which nothing leaves ends the connection, one that moves does not', async (t) => {
  const rig = await openHub(t, { bufferMax: 1_000, stallMs: 10_000 })
  const [stuck, slow, idle] = [new FakeLink(), new FakeLink(), new FakeLink()]
  for (const [i, link] of [stuck, slow, idle].entries()) {
    link.buffered = 1_000
    await rig.session(`${i}`, false, link, link === idle ? 'other' : 'a')
  }
  void rig.hub.publish(message('a', 'x'))
  // The watch looks once a second.
  for (let second = 0; second < 3; second++) {
    await new Promise((resolve) => setTimeout(resolve, 1_050))
    rig.clock.advance(6_000)
    slow.buffered++
  }
  t.same([stuck.closes, slow.closes, idle.closes], [['slow_consumer'], [], []])
})

void t.test('session: in flight are a window of messages, or of bytes; one always fits', async (t) => {
  const rig = await openHub(t, { window: 3, windowBytes: 100 })
  const link = new FakeLink()
  await rig.session('c', true, link, 'a')
  for (const size of [500, 40, 40, 40, 1]) await rig.hub.publish(message('a', 'x'.repeat(size)))
  const sizes = (): number[] => link.texts.map((text) => text.length)
  t.same(sizes(), [500])
  rig.hub.handshakes.acked('c', 1, 1)
  t.same(sizes(), [500, 40, 40])
  t.notOk(rig.hub.handshakes.acked('c', 2, 2), 'PUBCOMP for QoS 1 says nothing')
  rig.hub.handshakes.acked('c', 2, 1)
  t.same(sizes(), [500, 40, 40, 40, 1])
  t.notOk(rig.hub.handshakes.acked('c', 2, 1), 'nor does a PUBACK again')
})

void t.test('session: a packet id is not used again while it is in flight [MQTT-2.3.1-2]', async (t) => {
  const rig = await openHub(t)
  const link = new FakeLink()
  await rig.session('c', false, link, 'a')
  for (let i = 1; i <= 0x7fff; i++) {
    void rig.hub.publish(message('a', `${i}`))
    if (i !== 5) rig.hub.handshakes.acked('c', i, 1)
  }
  const ids = (): Array<number | undefined> => link.packets.map(({ messageId }) => messageId)
  t.equal(ids().at(-1), 0x7fff)
  for (let i = 1; i <= 6; i++) {
    void rig.hub.publish(message('a', `again ${i}`))
    if (i !== 5) rig.hub.handshakes.acked('c', i, 1)
  }
  t.equal(ids().at(-1), 4, 'it waits for the fifth')
  rig.hub.handshakes.acked('c', 5, 1)
  t.same(ids().slice(-2), [5, 6])
  t.ok(ids().every((id) => id !== undefined && id >= 1 && id <= 0x7fff))
})

void t.test('session: PUBREL is sent when the release is stored, and is what comes again', async (t) => {
  const rig = await openHub(t)
  const link = new FakeLink()
  const session = await rig.session('c', true, link, 'a')
  await rig.hub.publish(message('a', 'x', 2))
  let open = (): void => {}
  rig.gate = new Promise((resolve) => (open = resolve))
  let released = false
  const release = rig.hub.handshakes.release('c', 1)?.then(() => (released = true))
  await turn()
  t.notOk(released)
  open()
  await release
  t.equal(rig.hub.handshakes.release('c', 1), null, 'a PUBREC again needs no write')
  t.equal(session.bytes, 0)
  rig.hub.detach(session)
  const again = new FakeLink()
  rig.hub.resume('c', again, () => true)?.begin()
  await turns(() => again.packets.length === 1)
  t.match(again.packets, [{ cmd: 'pubrel', messageId: 1 }])
  t.ok(rig.hub.handshakes.acked('c', 1, 2))
  t.match(session, { count: 0, bytes: 0 })
})

void t.test('hub: a session that is loaded knows its queue', async (t) => {
  const first = await openHub(t)
  const link = new FakeLink()
  await first.session('c', true, link, 'a')
  for (let i = 1; i <= 5; i++) await first.hub.publish(message('a', `${i}`))
  for (const id of [1, 3]) first.hub.handshakes.acked('c', id, 1)
  await first.hub.close()
  const second = await openHub(t, {}, first.state)
  t.match(second.hub.find('c'), { next: 6, count: 3, bytes: 6, sent: 5 })
  const again = new FakeLink()
  second.hub.resume('c', again, () => true)?.begin()
  await turns(() => again.texts.length === 3)
  t.same(again.texts, ['2', '4', '5'])
  t.ok(again.packets.every((packet) => packet.cmd === 'publish' && packet.dup))
  await second.hub.publish(message('a', '6'))
  t.match(again.packets.at(-1), { messageId: 6, dup: false })
})
