// The hello of the next connection: it acknowledges, so it may say only what is recorded, and must say all of that.

import t from 'tap'
import { LogRecord } from '../../sdk/device/log/log-record.js'
import { logKey, writeAbout, writeLog } from '../../sdk/device/storage/stored-values.js'
import { encodeReset } from '../../protocol/frames/reset.js'
import { encodeWelcome } from '../../protocol/frames/welcome.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import { E1, E2, LOG, settle, TestStorage } from '../support/sdk/handling-rig.js'

/** Cuts, and opens the next connection as far as its hello. */
async function helloAgain(rig: ClientRig): Promise<ReadonlyMap<string, readonly [string, number]>> {
  rig.world.now.cut()
  await rig.reconnects()
  rig.world.now.open()
  return rig.world.now.hello?.cursors ?? new Map()
}

void t.test('SDK hello: it does not say what is being recorded', async (t) => {
  const storage = new TestStorage()
  let storageIsSlow = (): void => undefined
  const rig = await new ClientRig({ storage, handler: ({ seq }) => (seq === 2 ? storageIsSlow() : undefined) }).live()
  storageIsSlow = () => storage.hold()
  rig.world.now.data(0, [1, 2])
  await rig.advance(200)
  t.equal(rig.world.now.acked, 1)
  t.same([...(await helloAgain(rig))], [[LOG, [E1, 1]]], 'the second is handled, and its record is on its way')
  rig.world.now.accept().welcome(1, 2).data(1, [2])
  await rig.advance(200)
  t.equal(rig.world.now.acked, undefined)
  storage.letGo()
  await rig.advance(200)
  t.equal(rig.world.now.acked, 2)
  t.same([...(await helloAgain(rig))], [[LOG, [E1, 2]]])
})

void t.test('SDK hello: it says where a gap ended, without a message behind it', async (t) => {
  const rig = await new ClientRig({ storage: new TestStorage() }).live(0, 9)
  rig.world.now.gap(1, 9)
  await settle()
  t.equal(rig.gaps.length, 1)
  t.same([...(await helloAgain(rig))], [[LOG, [E1, 9]]])
})

void t.test('SDK hello: it says what a reset said, so that there is one', async (t) => {
  const storage = new TestStorage()
  const rig = await new ClientRig({ storage }).live()
  rig.world.now.data(0, [1, 2, 3])
  await rig.advance(200)
  await helloAgain(rig)
  rig.world.now.accept().welcome(1, 1, E2).reset(1, 1, E2)
  await settle()
  t.equal(rig.resets.length, 1)
  t.same([...(await helloAgain(rig))], [[LOG, [E2, 1]]])
  const next = new ClientRig({ storage })
  await settle()
  t.same([...(next.world.now.open().hello?.cursors ?? [])], [[LOG, [E2, 1]]], 'and another process knows it')
})

void t.test('SDK hello: a reset of a log that the welcome did not name breaks the stream', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.frame(encodeReset({ log: 'g:other', epoch: E1, cursor: 1, head: 1 }))
  await settle()
  t.match(rig.errors, [{ code: 'sequence_broken' }])
  t.same(rig.resets, [])
})

void t.test('SDK hello: a device that was in more logs than it can name names those that it is in', async (t) => {
  const storage = new TestStorage()
  storage.values.set('about', writeAbout('phone-1'))
  for (let i = 0; i < 2_000; i++) {
    const record = new LogRecord([E1, i], [[E1, i]])
    storage.values.set(logKey(`g:${i}`), writeLog({ record, guarded: 0 }))
  }
  const rig = new ClientRig({ storage })
  await settle()
  t.equal(rig.world.now.open().hello?.cursors.size, 1_024)
  const logs = new Map([['g:1999', { epoch: E1, cursor: 1_999, head: 1_999 }]])
  rig.world.now.accept().frame(encodeWelcome({ time: 0, node: 'n', session: 's', logs }))
  await settle()
  const cursors = await helloAgain(rig)
  t.equal(cursors.size, 1_024)
  t.same(cursors.get('g:1999'), [E1, 1_999])
})
