import t from 'tap'
import { limitedSlots } from '../../sdk/device/handling/slots.js'
import { E1, E2, HandlingRig, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

void t.test('SDK lane: messages are handled in order and acknowledged', async (t) => {
  const rig = (await HandlingRig.make()).welcome()
  t.equal(rig.data(0, [1, 2]), null)
  t.equal(rig.data(2, [3, 7]), null, 'exceptions lengthen the step')
  t.same(await rig.take(), ['start 1', 'ack 1', 'start 2', 'ack 2', 'start 3', 'ack 3', 'start 7', 'ack 7'])
  t.same(rig.lane.memory.record.position, [E1, 7])
})

void t.test('SDK lane: a prev that is not what was told last is named', async (t) => {
  const rig = await HandlingRig.make({ slots: limitedSlots(0) })
  t.match(rig.data(0, [1]), /nothing was told before/)
  rig.welcome(4)
  t.match(rig.data(3, [5]), /follows seq 3; seq 4 was told/)
  t.match(rig.data(5, [6]), /follows seq 5; seq 4 was told/)
  t.equal(rig.data(4, [5, 6]), null)
  t.match(rig.data(5, [7]), /follows seq 5; seq 6 was told/)
  t.equal(rig.gap(7, 9), null)
  t.match(rig.data(6, [10]), /seq 9 was told/)
  t.equal(rig.data(9, [10]), null)
  rig.reset(2, 8)
  t.equal(rig.data(2, [3]), null)
  rig.lane.leave()
  t.match(rig.data(3, [4]), /nothing was told before/)
  t.match(rig.gap(4, 5), /which the welcome did not name/)
})

void t.test(
  'SDK lane: a gap is told between the messages around it; one right after the welcome moves nothing',
  async (t) => {
    const rig = (await HandlingRig.make()).welcome(6)
    t.equal(rig.gap(1, 6), null)
    t.equal(rig.gap(2, 3), null)
    await settle()
    t.same(rig.lane.memory.record.position, [E1, 6], 'it moves the position, and never back')
    t.equal(rig.data(6, [7]), null)
    t.equal(rig.gap(8, 9), null)
    t.equal(rig.data(9, [10]), null)
    t.same(await rig.take(), [
      'gap 1-6 overflow',
      'gap 2-3 overflow',
      'start 7',
      'gap 8-9 overflow',
      'ack 7',
      'start 10',
      'ack 10',
    ])
  },
)

void t.test('SDK lane: what is at or below its epoch’s record is acknowledged without the handler', async (t) => {
  const storage = new TestStorage()
  const first = (await HandlingRig.make({ storage })).welcome()
  first.data(0, [1, 2, 3])
  await first.take()
  const rig = (await HandlingRig.make({ storage })).welcome(1)
  t.same(rig.lane.memory.record.position, [E1, 3], 'the welcome does not move the position')
  rig.data(1, [2, 3, 4])
  t.same(await rig.take(), ['ack 3', 'start 4', 'ack 4'])
  rig.reset(2, 3, E2)
  t.same(rig.lane.memory.record.position, [E2, 2], 'a reset does, also backwards')
  rig.data(2, [3], E2)
  t.same(await rig.take(), ['start 3', 'ack epoch-2/3'], 'the same seq in another epoch is another message')
})

void t.test(
  'SDK lane: a new connection drops what is queued, keeps what runs, and starts it never twice',
  async (t) => {
    const ends: Array<() => void> = []
    const rig = (
      await HandlingRig.make({ behaviour: () => new Promise<void>((resolve) => ends.push(resolve)) })
    ).welcome()
    rig.data(0, [1, 2, 3])
    t.same(await rig.take(), ['start 1'])
    rig.welcome(0)
    rig.data(0, [1, 2])
    t.same(await rig.take(), [])
    ends.shift()?.()
    t.same(await rig.take(), ['ack 1', 'start 2'], 'on the connection that sent it last')
    rig.welcome(0)
    ends.shift()?.()
    t.same(await rig.take(), [], 'recorded; it is acknowledged when it comes again')
    t.ok(rig.lane.memory.record.wasHandled(E1, 2))
    t.same(rig.lane.memory.record.position, [E1, 1])
    rig.data(0, [1, 2, 3])
    t.same(await rig.take(), ['ack 2', 'start 3'])
    ends.shift()?.()
    t.same(await rig.take(), ['ack 3'])
  },
)

void t.test('SDK lane: across a reset, what repeats a dedup id that was handled is not handled again', async (t) => {
  const storage = new TestStorage()
  const first = (await HandlingRig.make({ storage })).welcome()
  first.data(0, [1], E1, { dedupId: 'order-1' })
  first.data(1, [2], E1, { dedupId: 'order-2' })
  await first.take()
  first.reset(0, 0, E2)
  first.data(0, [1], E2, { dedupId: 'order-2' })
  first.data(1, [2], E2, { dedupId: 'order-3' })
  t.same(await first.take(), [`repeated 1 of ${LOG}/${E1}/2`, 'ack epoch-2/1', 'start 2', 'ack epoch-2/2'])

  const rig = (await HandlingRig.make({ storage })).welcome(2, 2, E2)
  rig.data(2, [3], E2, { dedupId: 'order-1' })
  t.same(await rig.take(), [`repeated 3 of ${LOG}/${E1}/1`, 'ack epoch-2/3'], 'a restart forgets nothing of it')
})
