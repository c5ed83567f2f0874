import t from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS, type AppendResult } from '../../core/ports/mailbox.js'
import { openLmdbStore, type LmdbStore } from '../../core/stores/lmdb/open.js'
import { FakeClock } from '../support/fake-clock.js'
import { newMessage, openLmdbRig, turn } from '../support/lmdb-rig.js'

const HOUR = 3600
const log = createLogger({ level: 'silent' })

async function push(store: LmdbStore, dedupId: string): Promise<AppendResult | undefined> {
  const [result] = await store.mailbox.append([
    {
      device: 'd',
      payload: Buffer.from(dedupId),
      contentType: 'text/plain',
      attributes: null,
      dedupId,
      ttl: null,
      priority: 'normal',
    },
  ])
  return result
}

void t.test('lmdb dedup: ids are kept when the window gets another length', async (t) => {
  const path = `${t.testdir()}/data`
  const clock = new FakeClock()
  const open = (hours: number) =>
    openLmdbStore({
      path,
      durability: 'disk',
      limits: { ...DEFAULT_MAILBOX_LIMITS, dedupWindowSeconds: hours * HOUR },
      clock,
      log,
    })
  for (const [before, after] of [
    [1, 24],
    [24, 2],
    [2, 48],
  ] as const) {
    const id = `${before} to ${after}`
    const first = await open(before)
    t.match(await push(first, id), { ok: true, duplicate: false })
    await first.close()
    const second = await open(after)
    t.match(await push(second, id), { ok: true, duplicate: true }, `${id}: known`)
    clock.advance((Math.min(before, after) * HOUR - 60) * 1000)
    await push(second, `${id}, later`)
    await second.close()
    const third = await open(after)
    t.match(await push(third, id), { ok: true, duplicate: true }, `${id}: known until its time is over`)
    await third.close()
  }
})

void t.test('lmdb dedup: windows turn over, and ids are forgotten when their time is over', async (t) => {
  const clock = new FakeClock()
  const store = await openLmdbStore({
    path: `${t.testdir()}/data`,
    durability: 'disk',
    limits: { ...DEFAULT_MAILBOX_LIMITS, dedupWindowSeconds: HOUR },
    clock,
    log,
  })
  t.teardown(() => store.close())
  for (let i = 0; i < 12; i++) {
    t.match(await push(store, 'again'), { ok: true, duplicate: false }, `hour ${i}: new`)
    for (let minutes = 0; minutes < 50; minutes += 10) {
      clock.advance(10 * 60_000)
      await push(store, `${i}-${minutes}`) // what waits is written out, windows turn over
      t.match(await push(store, 'again'), { ok: true, duplicate: true }, `hour ${i}: ${minutes} minutes later`)
    }
    clock.advance(11 * 60_000)
  }
})

void t.test('lmdb dedup: what a table held two windows ago hides nothing while it is being emptied', async (t) => {
  const clock = new FakeClock(0)
  const rig = openLmdbRig(t, { clock, limits: { ...DEFAULT_MAILBOX_LIMITS, dedupWindowSeconds: HOUR } })
  const again = async (): Promise<unknown> => (await rig.mailbox.append([newMessage('a', 'again')]))[0]
  const writeOut = async (): Promise<void> => {
    clock.advance(10_000)
    rig.engine.tick()
    await rig.mailbox.ping()
  }
  clock.advance(10 * 60_000)
  t.match(await again(), { ok: true, duplicate: false })
  await writeOut() // into the table of the first window
  clock.advance(HOUR * 1000 + 20 * 60_000)
  t.match(await again(), { ok: true, duplicate: false }, 'its time was over')
  await writeOut() // into the table of the second window
  clock.advance(31 * 60_000)
  const turnsOver = rig.mailbox.append([newMessage('b', 'another')])
  await turn()
  const retry = again()
  await turnsOver
  t.match(await retry, { ok: true, duplicate: true }, 'while the commit of the third window is under way')
  await rig.drop()
})
