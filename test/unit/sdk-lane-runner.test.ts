import t from 'tap'
import { demandedSlots, limitedSlots } from '../../sdk/device/handling/slots.js'
import type { Message } from '../../sdk/device/message.js'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { HandlingRig, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

const fail = (): never => {
  throw new Error('no disk')
}

void t.test('SDK handling: nothing is acknowledged, and nothing more is started, before it is recorded', async (t) => {
  const storage = new TestStorage()
  const rig = (await HandlingRig.make({ storage })).welcome()
  storage.hold()
  rig.data(0, [1, 2])
  t.same(await rig.take(), [], 'the start itself is recorded first')
  storage.letGo()
  storage.hold()
  t.same(await rig.take(), ['start 1'], 'handled, not recorded')
  storage.letGo()
  t.same(await rig.take(), ['ack 1', 'start 2', 'ack 2'])
})

void t.test('SDK handling: one write a message while messages wait', async (t) => {
  const storage = new TestStorage()
  const rig = (await HandlingRig.make({ storage })).welcome()
  const seqs = Array.from({ length: 50 }, (_, i) => i + 1)
  rig.data(0, seqs)
  await rig.take()
  t.equal(storage.writes, 51)
})

void t.test('SDK handling: a storage that fails ends it; what was not recorded is not acknowledged', async (t) => {
  const storage = new TestStorage()
  const rig = (await HandlingRig.make({ storage })).welcome()
  rig.data(0, [1])
  t.same(await rig.take(), ['start 1', 'ack 1'])
  storage.fails = new Error('disk full')
  rig.data(1, [2, 3])
  t.same(await rig.take(), [], 'not even started')
  t.equal(rig.stopped?.code, 'storage_failed')
  t.match(rig.stopped?.message, /disk full/)

  const late = new TestStorage()
  const other = (
    await HandlingRig.make({ storage: late, behaviour: () => void (late.fails = new Error('gone')) })
  ).welcome()
  other.data(0, [1, 2])
  t.same(await other.take(), ['start 1'], 'handled, but neither acknowledged nor followed by the next')
  t.equal(other.stopped?.code, 'storage_failed')
})

void t.test('SDK handling: after a crash the message that was begun is run again, with attempt 2', async (t) => {
  const storage = new TestStorage()
  const dying = (await HandlingRig.make({ storage, behaviour: () => new Promise(() => undefined) })).welcome()
  dying.data(0, [1, 2])
  t.same(await dying.take(), ['start 1'])
  const second = (await HandlingRig.make({ storage, behaviour: () => new Promise(() => undefined) })).welcome()
  second.data(0, [1, 2])
  t.same(await second.take(), ['start 1 (2)'])
  const third = (await HandlingRig.make({ storage })).welcome()
  third.data(0, [1, 2])
  t.same(await third.take(), ['start 1 (3)', 'ack 1', 'start 2', 'ack 2'])
})

void t.test('SDK handling: a handler that throws is run again, later each time', async (t) => {
  const rig = (await HandlingRig.make({ behaviour: (_message, run) => (run < 4 ? fail() : undefined) })).welcome()
  rig.data(0, [1, 2])
  const waits: Array<number | null> = []
  for (let i = 0; i < 3; i++) {
    await settle()
    waits.push(rig.clock.next)
    rig.clock.advance(rig.clock.next ?? 0)
  }
  t.same(waits, [150, 300, 600])
  t.same(await rig.take(), ['start 1', 'start 1 (2)', 'start 1 (3)', 'start 1 (4)', 'ack 1', 'start 2', 'ack 2'])
  t.match(rig.errors, [{ code: 'handler_error', key: `${LOG}/epoch-1/1` }, {}, {}])
  t.match(rig.errors[0]?.cause, new Error('no disk'))
})

/** Lets every pause pass until nothing waits any more. */
async function untilQuiet(rig: HandlingRig): Promise<readonly string[]> {
  for (;;) {
    await settle()
    if (rig.clock.next === null) return rig.take()
    rig.clock.advance(rig.clock.next)
  }
}

const poisonous = (message: Message): unknown => (message.seq === 1 ? Promise.reject(new Error('bad')) : undefined)

void t.test('SDK handling: poison stops, is skipped, or is parked', async (t) => {
  const retry = { attempts: 3, minMs: 10, maxMs: 20 }
  const tries = ['start 1', 'start 1 (2)', 'start 1 (3)']

  const stops = (await HandlingRig.make({ behaviour: poisonous, settings: { retry } })).welcome()
  stops.data(0, [1, 2])
  t.same(await untilQuiet(stops), tries)
  t.equal(stops.stopped?.code, 'handler_failed')
  t.equal(stops.stopped?.key, `${LOG}/epoch-1/1`)

  const skips = (await HandlingRig.make({ behaviour: poisonous, settings: { retry, poison: 'skip' } })).welcome()
  skips.data(0, [1, 2])
  t.same(await untilQuiet(skips), [...tries, 'skipped 1', 'ack 1', 'start 2', 'ack 2'])

  const parks = (await HandlingRig.make({ behaviour: poisonous, settings: { retry, poison: 'park' } })).welcome()
  parks.data(0, [1, 2])
  t.same(await untilQuiet(parks), [...tries, 'parked 1', 'ack 1', 'start 2', 'ack 2'])

  const full = (await HandlingRig.make({ behaviour: poisonous, settings: { retry, poison: 'park' } })).welcome()
  full.parkLimit = 0
  full.data(0, [1, 2])
  t.same(await untilQuiet(full), tries)
  t.equal(full.stopped?.code, 'parked_full')
})

void t.test(
  'SDK handling: runs are counted across restarts, so that a message that kills the process is poison too',
  async (t) => {
    const storage = new TestStorage()
    const settings = { retry: { attempts: 3, minMs: 10, maxMs: 20 }, poison: 'skip' as const }
    for (let i = 0; i < 3; i++) {
      const dying = (
        await HandlingRig.make({ storage, settings, behaviour: () => new Promise(() => undefined) })
      ).welcome()
      dying.data(0, [1])
      await dying.take()
    }
    const rig = (await HandlingRig.make({ storage, settings, behaviour: poisonous })).welcome()
    rig.data(0, [1, 2])
    t.same(await untilQuiet(rig), ['start 1 (4)', 'skipped 1', 'ack 1', 'start 2', 'ack 2'])
  },
)

void t.test('SDK handling: a reconnect during the pause before a run neither shortens nor repeats it', async (t) => {
  const rig = (await HandlingRig.make({ behaviour: (_message, run) => (run === 1 ? fail() : undefined) })).welcome()
  rig.data(0, [1])
  t.same(await rig.take(), ['start 1'])
  rig.welcome()
  rig.data(0, [1])
  t.same(await rig.take(), [])
  rig.clock.advance(150)
  t.same(await rig.take(), ['start 1 (2)', 'ack 1'])
})

void t.test('SDK handling: manual acks count in any order, up to the first that is missing', async (t) => {
  const storage = new TestStorage()
  const held: Message[] = []
  const behaviour = (message: Message): void => void held.push(message)
  const rig = (await HandlingRig.make({ storage, settings: { mode: 'manual' }, behaviour })).welcome()
  rig.data(0, [1, 2, 3, 4])
  t.same(await rig.take(), ['start 1', 'start 2', 'start 3', 'start 4'])
  held[2]?.ack()
  t.same(await rig.take(), [])
  held[0]?.ack()
  t.same(await rig.take(), ['ack 1'])
  held[1]?.ack()
  held[1]?.ack()
  t.same(await rig.take(), ['ack 3'])

  rig.welcome(3)
  rig.data(3, [4, 5])
  t.same(await rig.take(), ['start 5'], 'what is in the application’s hands is not started again')
  rig.welcome(3)
  held[3]?.ack()
  t.same(await rig.take(), [])
  rig.data(3, [4, 5])
  t.same(await rig.take(), ['ack 4'])

  const next = (await HandlingRig.make({ storage, settings: { mode: 'manual' }, behaviour })).welcome(3)
  next.data(3, [4, 5])
  t.same(await next.take(), ['ack 4', 'start 5 (2)'])
})

void t.test('SDK handling: a manual ack is recorded while another handler runs', async (t) => {
  const held: Message[] = []
  const behaviour = (message: Message): unknown => (held.push(message) === 1 ? undefined : new Promise(() => undefined))
  const rig = (await HandlingRig.make({ settings: { mode: 'manual' }, behaviour })).welcome()
  rig.data(0, [1, 2])
  t.same(await rig.take(), ['start 1', 'start 2'])
  held[0]?.ack()
  t.same(await rig.take(), ['ack 1'])
})

void t.test('SDK handling: a handler that throws after it acknowledged is told of, and not run again', async (t) => {
  const behaviour = (message: Message): never => {
    message.ack()
    return fail()
  }
  const rig = (await HandlingRig.make({ settings: { mode: 'manual' }, behaviour })).welcome()
  rig.data(0, [1, 2])
  t.same(await rig.take(), ['start 1', 'ack 1', 'start 2', 'ack 2'])
  t.equal(rig.errors.length, 2)
})

void t.test('SDK handling: a volatile storage makes nothing wait, and is written when it is closed', async (t) => {
  const storage = memoryStorage()
  const rig = (await HandlingRig.make({ storage })).welcome()
  rig.data(0, [1, 2], undefined, { dedupId: 'same' })
  await Promise.resolve()
  t.same(rig.told, ['start 1'], 'without waiting for anything')
  t.same(await rig.take(), ['start 1', 'ack 1', 'start 2', 'ack 2'])
  t.equal((await storage.load()).size, 0)
  await rig.store.close()
  const next = (await HandlingRig.make({ storage })).welcome()
  next.data(0, [1, 2, 3])
  t.same(await next.take(), ['ack 2', 'start 3', 'ack 3'])
})

void t.test('SDK handling: slots limit how many logs run at once, in the order in which they asked', async (t) => {
  const slots = limitedSlots(1)
  const ends: Array<() => void> = []
  const behaviour = (): Promise<void> => new Promise((resolve) => ends.push(resolve))
  const rigs = await Promise.all([1, 2].map(() => HandlingRig.make({ slots, behaviour })))
  for (const rig of rigs) rig.welcome().data(0, [1, 2])
  await settle()
  t.same(
    rigs.map((rig) => rig.told),
    [['start 1'], []],
  )
  ends.shift()?.()
  await settle()
  t.same(
    rigs.map((rig) => rig.told),
    [['start 1', 'ack 1'], ['start 1']],
  )
  ends.shift()?.()
  await settle()
  t.same(
    rigs.map((rig) => rig.told.at(-1)),
    ['start 2', 'ack 1'],
  )
})

void t.test('SDK handling: demanded slots start as many as were asked for', async (t) => {
  const slots = demandedSlots()
  const rig = (await HandlingRig.make({ slots })).welcome()
  rig.data(0, [1, 2, 3])
  t.same(await rig.take(), [])
  slots.ask()
  t.same(await rig.take(), ['start 1', 'ack 1'])
  slots.ask()
  slots.ask()
  slots.ask()
  t.same(await rig.take(), ['start 2', 'ack 2', 'start 3', 'ack 3'])
  slots.withdraw()
  rig.data(3, [4])
  t.same(await rig.take(), [])
})

void t.test('SDK handling: stopping waits for what runs, and starts nothing more', async (t) => {
  const ends: Array<() => void> = []
  const rig = (
    await HandlingRig.make({ behaviour: () => new Promise<void>((resolve) => ends.push(resolve)) })
  ).welcome()
  rig.data(0, [1, 2])
  await settle()
  let stopped = false
  const done = rig.runner.stop().then(() => (stopped = true))
  await settle()
  t.notOk(stopped)
  ends.shift()?.()
  await done
  t.same(await rig.take(), ['start 1', 'ack 1'])

  const paused = (await HandlingRig.make({ behaviour: fail })).welcome()
  paused.data(0, [1])
  await settle()
  await paused.runner.stop()
  t.same(await paused.take(), ['start 1'], 'a pause is not waited for')
})
