// A storage of the application's own that fails, in each of its methods and in every way: the client ends with a typed error,
// and the server is told of nothing that was not recorded.

import t from 'tap'
import type { Storage } from '../../sdk/device/storage/storage.js'
import { logKey, readLog } from '../../sdk/device/storage/stored-values.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import { E1, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

const FAULT = new Error('disk on fire')

/** The ways in which a method can fail. */
const WAYS: ReadonlyArray<readonly [string, () => Promise<never>]> = [
  ['rejects', () => Promise.reject(FAULT)],
  [
    'throws',
    () => {
      throw FAULT
    },
  ],
]

/** Up to where the storage has the log as handled. */
function recorded(storage: TestStorage): number {
  const value = storage.values.get(logKey(LOG))
  const handled = value === undefined ? [] : [...readLog(value).record.handled]
  return handled.find(([epoch]) => epoch === E1)?.[1] ?? 0
}

for (const [how, fail] of WAYS) {
  void t.test(`SDK storage faults: load ${how}: nothing is connected, and the storage is let go`, async (t) => {
    const storage: Storage = { load: fail, write: () => Promise.resolve(), close: () => Promise.resolve() }
    const rig = new ClientRig({ storage })
    await settle()
    t.match(rig.ended, { code: 'storage_failed', terminal: true, cause: FAULT })
    t.equal(rig.world.connections.length, 0)
    await t.rejects(rig.client.send('c', 'x'), { code: 'storage_failed' })
    t.equal(rig.client.state, 'closed')
  })

  void t.test(`SDK storage faults: close ${how}: it is told, and the client has ended all the same`, async (t) => {
    const storage = new TestStorage()
    storage.close = fail
    const rig = await new ClientRig({ storage }).live()
    rig.world.now.data(0, [1])
    await rig.advance(200)
    t.match(await rig.client.close(), { code: 'storage_failed', cause: FAULT })
    t.equal(rig.client.state, 'closed')
    t.equal(rig.world.now.acked, 1)
    t.equal(recorded(storage), 1)
    t.equal(rig.world.clock.next, null, 'no timer is left')
  })

  void t.test(
    `SDK storage faults: write ${how}, the first, the second …: only what is recorded is acknowledged`,
    async (t) => {
      let ended = 0
      for (let nth = 1; nth <= 9; nth++) {
        const storage = new TestStorage()
        const write: Storage['write'] = storage.write.bind(storage)
        storage.write = (changes) => (storage.writes + 1 >= nth ? fail() : write(changes))
        // The first frame is high priority, so its ack leaves at once.
        const rig = await new ClientRig({ storage, window: 2 }).live()
        rig.world.connections.at(-1)?.data(0, [1], E1, { flags: 1 })
        await rig.advance(300)
        if (rig.ended === undefined) rig.world.now.data(1, [2, 3])
        await rig.advance(300)
        if (rig.ended === undefined) rig.world.now.gap(4, 5).data(5, [6], E1, { dedupId: 'x' })
        await rig.advance(300)
        t.ok((rig.world.now.acked ?? 0) <= recorded(storage), `write ${nth}: ${rig.world.now.acked} is acknowledged`)
        // A message is begun only when that is written, so only the last one can be handled and not recorded.
        const last = rig.handled.at(-1) ?? 0
        const before = rig.handled.at(-2) ?? 0
        t.ok(
          recorded(storage) === last || recorded(storage) === before,
          `write ${nth}: ${rig.handled.join()} are handled`,
        )
        if (rig.ended === undefined) continue
        ended++
        t.match(rig.ended, { code: 'storage_failed', terminal: true, cause: FAULT })

        // The disk is put out: the next client begins again where the record ends.
        storage.write = write
        const attempts: string[] = []
        const next = new ClientRig({
          storage,
          handler: (message) => void attempts.push(`${message.seq} ${message.attempt}`),
        })
        await next.live(recorded(storage), 6)
        for (const seq of [1, 2, 3, 6]) {
          if (seq > recorded(storage)) next.world.now.data(seq === 6 ? 5 : seq - 1, [seq], E1)
          if (seq === 3) next.world.now.gap(4, 5)
          await settle()
        }
        const again = attempts.filter((attempt) => attempt.endsWith(' 2'))
        t.same(
          again,
          last > 0 && !attempts.includes(`${last} 1`) && attempts.includes(`${last} 2`) ? [`${last} 2`] : [],
        )
        t.ok(!attempts.some((attempt) => attempt === `${last} 1`), 'what was begun is known to have been')
        await next.client.close()
      }
      t.ok(ended >= 5, `${ended} clients met the fault`)
    },
  )
}

void t.test('SDK storage faults: load gives something else than values', async (t) => {
  let closed = 0
  for (const value of [undefined, null, 5, {}, [], new Map([['about', 'text']]), new Map([[5, Uint8Array.of(1)]])]) {
    const storage = Object.assign(new TestStorage(), {
      load: () => Promise.resolve(value),
      close: () => {
        closed++
        throw FAULT // what it holds is the news, not this
      },
    })
    const rig = new ClientRig({ storage })
    await settle()
    t.match(rig.ended, { code: 'storage_unusable', message: /a Map of strings to Uint8Arrays/ })
    t.equal(rig.world.connections.length, 0)
  }
  t.equal(closed, 7, 'it was let go')
})

void t.test('SDK storage faults: an uplink that could not be kept is refused, unless the server has it', async (t) => {
  for (const answers of [false, true]) {
    const storage = new TestStorage()
    const rig = await new ClientRig({ storage }).live()
    rig.world.now.answers = answers
    storage.fails = FAULT
    const sent = rig.client.send('c', 'x')
    if (answers) await sent
    else await t.rejects(sent, { code: 'storage_failed' })
    await settle()
    t.equal(rig.ended?.code, 'storage_failed')
  }
})
