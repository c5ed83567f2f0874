// What the uplink log of the embedded store must keep through commits that fail and crashes.

import t from 'tap'
import { StoreUnavailable } from '../../core/errors.js'
import { outline, readLog, send, stored, uplink, uplinks } from '../conformance/uplink/words.js'
import { type LmdbRig, newMessage, openLmdbRig, turn } from '../support/lmdb-rig.js'

/** The next commit fails; the disk is well again at once. What `call` appended is refused. */
async function failing({ commits }: LmdbRig, call: () => Promise<unknown>): Promise<void> {
  commits.fail = () => true
  const error: unknown = await call().then(
    () => null,
    (reason: unknown) => reason,
  )
  commits.fail = () => false
  if (!(error instanceof StoreUnavailable)) throw new Error(`not refused: ${String(error)}`)
}

void t.test(
  'lmdb uplink: what a failed commit took along is not there, is not counted, and is no duplicate',
  async (t) => {
    const rig = openLmdbRig(t)
    await rig.uplink.append(uplinks('d', 2))
    await failing(rig, () => rig.uplink.append([uplink('d', { payload: 'lost', dedupId: 'one' })]))
    const { usage } = rig.uplink
    t.strictSame(usage.count, 2)
    rig.clock.advance(5_000)
    t.equal((await send(rig.uplink, 'd', { payload: 'kept', dedupId: 'one' })).duplicate, false)
    t.strictSame(outline(await readLog(rig.uplink)), ['d:u1', 'd:u2', 'd:kept'])
    const after = rig.crash()
    t.strictSame(outline(await readLog(after.uplink)), ['d:u1', 'd:u2', 'd:kept'])
    t.strictSame(after.uplink.usage, rig.uplink.usage)
  },
)

void t.test('lmdb uplink: a commit that fails takes all later calls along, and none before it', async (t) => {
  const rig = openLmdbRig(t)
  const calls: Array<Promise<unknown>> = []
  const first = rig.commits.count
  rig.commits.fail = () => rig.commits.count === first + 2
  for (const n of [1, 2, 3, 4, 5]) {
    const call = rig.uplink.append([uplink('d', { payload: `${n}` })])
    call.catch(() => undefined) // it is looked at below, perhaps after it was refused
    calls.push(call)
    await turn()
  }
  const results = await Promise.allSettled(calls)
  const kept = results.filter(({ status }) => status === 'fulfilled').length
  t.ok(kept >= 1 && kept < 5, 'one commit failed')
  t.strictSame(
    results.map(({ status }) => status),
    results.map((_, i) => (i < kept ? 'fulfilled' : 'rejected')),
    'the first ones, and no later one',
  )
  t.strictSame(
    outline(await readLog(rig.uplink)),
    results.slice(0, kept).map((_, i) => `d:${i + 1}`),
  )
})

void t.test(
  'lmdb uplink: after a failed commit, and with the clock set back, what comes is behind what was read',
  async (t) => {
    const rig = openLmdbRig(t)
    const before = await send(rig.uplink, 'd')
    await failing(rig, () => rig.uplink.append(uplinks('d', 3)))
    rig.clock.advance(5_000)
    rig.clock.setWall(0)
    const after = await send(rig.uplink, 'd')
    t.ok(after.id > before.id)
    t.strictSame(
      (await readLog(rig.uplink, before.id)).map(({ id }) => id),
      [after.id],
    )
  },
)

void t.test('lmdb uplink: a failed commit of messages leaves uplinks and their ids as they are', async (t) => {
  const rig = openLmdbRig(t)
  const first = await send(rig.uplink, 'd', { dedupId: 'one' })
  await failing(rig, () => rig.mailbox.append([newMessage('d', null)]))
  rig.clock.advance(5_000)
  t.strictSame(await send(rig.uplink, 'd', { dedupId: 'one' }), { ...first, duplicate: true })
  t.equal(rig.uplink.usage.count, 1)
})

void t.test('lmdb uplink: forgetting that fails is done later', async (t) => {
  const rig = openLmdbRig(t)
  await rig.uplink.append(uplinks('d', 10))
  rig.clock.advance(8 * 24 * 3_600_000)
  rig.commits.fail = () => true
  rig.uplink.expire()
  await rig.engine.groups.stored(rig.engine.groups.next)?.catch(() => undefined)
  rig.commits.fail = () => false
  t.equal(rig.uplink.usage.count, 10)
  rig.clock.advance(5_000)
  rig.uplink.expire()
  rig.uplink.expire() // the tick comes again before it is stored
  await rig.mailbox.ping()
  t.strictSame(rig.uplink.usage, { count: 0, bytes: 0 })
  t.strictSame(rig.crash().uplink.usage, { count: 0, bytes: 0 })
})

void t.test('lmdb uplink: more than one row in a commit, and small rows where space is short', async (t) => {
  const rig = openLmdbRig(t)
  const big = uplinks('d', 300, 'x'.repeat(1_000))
  ;(await rig.uplink.append(big)).map(stored)
  await failing(rig, () => rig.mailbox.append([newMessage('d', null)]))
  rig.clock.advance(5_000)
  t.equal(rig.engine.groups.room, 'short')
  ;(await rig.uplink.append(big)).map(stored)
  const log = await readLog(rig.crash().uplink)
  t.strictSame(outline(log), outline([...big, ...big].map((u, i) => ({ ...u, id: `${i}`, at: 0 }))))
  t.ok(new Set(log.slice(0, 300).map(({ id }) => id.slice(0, 16))).size < 8, 'rows of 64 KiB')
  t.ok(new Set(log.slice(300).map(({ id }) => id.slice(0, 16))).size >= 150, 'rows of a page or less')
})

void t.test(
  'lmdb uplink: after a long rest what has expired is passed over, and forgotten without waiting for ticks',
  async (t) => {
    const rig = openLmdbRig(t)
    for (let n = 0; n < 600; n++) await send(rig.uplink, 'd', { payload: 'old' })
    const before = new Set((await readLog(rig.uplink)).map(({ id }) => id.slice(0, 16))).size
    t.ok(before > 500, `${before} rows`)
    rig.clock.advance(8 * 24 * 3_600_000)
    await send(rig.uplink, 'd', { payload: 'new' })
    const { uplink: table } = rig.engine.tables
    const getRange = table.getRange.bind(table)
    let seen = 0
    table.getRange = (options) =>
      getRange(options).map((entry) => {
        seen++
        return entry
      })
    t.strictSame(outline(await readLog(rig.uplink)), ['d:new'])
    t.equal(seen, 1, 'no other row was looked at')
    table.getRange = getRange
    rig.uplink.expire()
    const end = performance.now() + 10_000
    while (rig.uplink.usage.count > 1 && performance.now() < end) await turn()
    t.equal(rig.uplink.usage.count, 1)
    t.strictSame(outline(await readLog(rig.crash().uplink)), ['d:new'])
  },
)
