// What the embedded store must keep through commits that fail, crashes and restarts: one test for each way to lose it.

import t from 'tap'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { FakeClock } from '../support/fake-clock.js'
import { type LmdbRig, newMessage, openLmdbRig, turn } from '../support/lmdb-rig.js'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const CLAIM = { node: 'n', claimId: 'c' }

/** A commit of a new message fails; the disk is well again at once, and the store rests for a while. */
async function failOnce({ commits, mailbox }: LmdbRig, device: string): Promise<void> {
  commits.fail = () => true
  await mailbox.append([newMessage(device, null)]).then(
    () => Promise.reject(new Error('the commit was to fail')),
    () => undefined,
  )
  commits.fail = () => false
}

async function push({ mailbox }: LmdbRig, device: string, ids: readonly string[]): Promise<string> {
  const results = await mailbox.append(ids.map((id) => newMessage(device, id)))
  const [first] = results
  if (first?.ok !== true || !results.every(({ ok }) => ok)) throw new Error('a push was refused')
  return first.epoch
}

async function states({ mailbox }: LmdbRig, device: string, seqs: readonly number[]): Promise<readonly string[]> {
  const found = await Promise.all(seqs.map((seq) => mailbox.state(device, seq, null)))
  return found.map((state) => (state.kind === 'known' ? state.state : state.kind))
}

/** The device is claimed, and every message that is pending goes on the wire. */
async function connect({ mailbox }: LmdbRig, device: string): Promise<void> {
  const granted = await mailbox.claim(device, CLAIM, { force: true })
  if (!granted.ok) throw new Error('the claim was refused')
  const { position } = granted
  await mailbox.read({ device, claimId: CLAIM.claimId, position, maxMessages: 100, maxBytes: 1e6 })
}

void t.test('lmdb failures: short space does not cut the journal of a group that is under way', async (t) => {
  const rig = openLmdbRig(t)
  const { clock, engine, mailbox } = rig
  await mailbox.ensure('d')
  await failOnce(rig, 'd')
  clock.advance(2_500)
  await mailbox.ping() // looks through the journal, which is done once a second at most
  clock.advance(999)
  const payload = Buffer.alloc(200_000)
  const messages = Array.from({ length: 20 }, (_, i) => newMessage('d', `m${i}`, { payload }))
  const appended = mailbox.append(messages)
  await turn()
  clock.advance(1)
  const pinged = mailbox.ping() // the next look, while the messages are under way
  t.equal(engine.groups.room, 'short')
  t.equal((await appended).filter(({ ok }) => ok).length, 20)
  await pinged
  t.match(await rig.crash().mailbox.info('d'), { head: 20, pending: 20 })
})

void t.test('lmdb failures: the store closes after a failed commit, and keeps what waited', async (t) => {
  const rig = openLmdbRig(t)
  const { clock, commits, mailbox } = rig
  await mailbox.ensure('d')
  await push(rig, 'd', ['one']) // waits in the journal
  await failOnce(rig, 'd')
  clock.advance(5_000)
  const before = commits.count
  commits.fail = () => commits.count > before + 50 // ends a close that would go on for ever
  const after = await rig.restart()
  t.ok(commits.count - before < 10, 'a few commits are enough')
  t.match(await after.mailbox.info('d'), { head: 1, pending: 1 })
})

void t.test('lmdb failures: an exception that an ack took back stays handled after a crash', async (t) => {
  const rig = openLmdbRig(t)
  const { mailbox } = rig
  const epoch = await push(rig, 'd', ['a', 'b', 'c', 'e'])
  await mailbox.cancel('d', 2, null) // nobody is connected
  await connect(rig, 'd')
  await mailbox.cancel('d', 3, null) // on the wire, and next to an exception that is not
  await mailbox.ack([{ device: 'd', position: { epoch, seq: 3 }, sent: { epoch, seq: 4 } }])
  const expected = ['handled', 'cancelled', 'handled', 'sent']
  t.same(await states(rig, 'd', [1, 2, 3, 4]), expected)
  const after = rig.crash()
  t.same(await states(after, 'd', [1, 2, 3, 4]), expected, 'after the crash')
  const [before, now] = [await mailbox.info('d'), await after.mailbox.info('d')]
  t.equal(now?.pendingBytes, before?.pendingBytes)
})

void t.test('lmdb failures: what is on the wire is known after a failed commit of another device', async (t) => {
  const rig = openLmdbRig(t)
  const { clock, mailbox } = rig
  const epoch = await push(rig, 'd', ['a', 'b'])
  await connect(rig, 'd')
  const cancelled = { kind: 'cancelled', maybeDelivered: true }
  t.same(await mailbox.cancel('d', 1, null), cancelled)
  await failOnce(rig, 'other')
  clock.advance(5_000)
  t.match(await mailbox.info('d'), { claim: CLAIM })
  t.same(await mailbox.cancel('d', 1, null), cancelled)
  await mailbox.ack([{ device: 'd', position: { epoch, seq: 2 } }])
  t.same(await states(rig, 'd', [1, 2]), ['handled', 'handled'])
})

void t.test('lmdb failures: a message that is refused drops no older one', async (t) => {
  const rig = openLmdbRig(t, { limits: { inboxMax: 2, overflow: 'drop-oldest' } })
  const { clock, mailbox } = rig
  await push(rig, 'd', ['a', 'b'])
  await failOnce(rig, 'other')
  t.same(await mailbox.append([newMessage('d', 'c')]), [{ ok: false, code: 'store_unavailable' }])
  t.same(await states(rig, 'd', [1, 2]), ['queued', 'queued'])
  t.match(await mailbox.info('d'), { head: 2, pending: 2 })
  clock.advance(5_000)
  await push(rig, 'd', ['c'])
  t.same(await states(rig, 'd', [1, 2, 3]), ['overflow', 'queued', 'queued'], 'dropped when it is accepted')
})

void t.test('lmdb failures: the younger use of a dedup id counts after a change of the window', async (t) => {
  // 50 minutes into an even window of an hour: the second use comes in the next one.
  const even = Math.floor(Date.UTC(2030, 0, 1) / (2 * HOUR)) * 2 * HOUR
  for (const dedupWindowSeconds of [3600, 3599, 3500, 3400, 3000, 2500]) {
    const clock = new FakeClock(even + 50 * 60_000)
    const rig = openLmdbRig(t, { clock, limits: { dedupWindowSeconds: 3600 } })
    await push(rig, 'd', ['daily'])
    clock.advance(5_000)
    await rig.mailbox.ping() // writes the id to the table of its window
    await rig.mailbox.ping()
    clock.advance(65 * 60_000)
    t.match(await rig.mailbox.append([newMessage('d', 'daily')]), [{ seq: 2, duplicate: false }])
    const after = await rig.restart({ dedupWindowSeconds })
    clock.advance(60_000)
    const again = await after.mailbox.append([newMessage('d', 'daily')])
    t.match(again, [{ seq: 2, duplicate: true }], `from 3600 to ${dedupWindowSeconds} seconds`)
  }
})

void t.test('lmdb failures: a device that was used just before a crash is not idle', async (t) => {
  const rig = openLmdbRig(t)
  const { clock, mailbox } = rig
  await mailbox.ensure('d')
  await mailbox.claim('d', CLAIM, { force: true })
  await mailbox.release('d', CLAIM.claimId)
  clock.advance(3_000)
  await mailbox.ping() // writes the record
  await mailbox.ping()
  clock.advance(DEFAULT_MAILBOX_LIMITS.idleDeviceSeconds * 1000 + DAY)
  const epoch = await push(rig, 'd', ['a'])
  await mailbox.ack([{ device: 'd', position: { epoch, seq: 1 } }])
  t.equal(rig.crash().engine.find('d')?.usedAt, clock.now())
})
