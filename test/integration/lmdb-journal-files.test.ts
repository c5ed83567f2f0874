// The journal files beside LMDB: what is in them is there after a crash, what is missing is noticed, and a disk that takes only
// part of a record loses nothing that was answered.

import { copyFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { journalFilesIn } from '../support/lmdb-copy.js'
import { type LmdbRig, newMessage, openLmdbRig, turn } from '../support/lmdb-rig.js'
import { until } from '../support/road/wait.js'

const options = { files: true } as const
const skip = process.platform === 'linux' ? false : 'journal files are written on Linux alone'

async function push(rig: LmdbRig, id: string, device = 'd'): Promise<void> {
  const [result] = await rig.mailbox.append([newMessage(device, id)])
  if (result?.ok !== true) throw new Error(`${id} was refused`)
}

/** A rig whose last commits went into a file. */
async function filing(t: Test): Promise<LmdbRig> {
  const rig = openLmdbRig(t, options)
  let n = 0
  await until('a group to go into a file', async () => {
    await push(rig, `first ${n++}`)
    return rig.commits.filed > 0
  })
  return rig
}

const headOf = async (rig: LmdbRig, device = 'd'): Promise<number> => (await rig.mailbox.info(device))?.head ?? 0

const lastFile = (rig: LmdbRig): string => join(rig.folder, journalFilesIn(rig.folder).at(-1) ?? '')

void t.test('lmdb journal files: what went into them is there after a crash, in its order', { skip }, async (t) => {
  let rig = await filing(t)
  for (let crash = 0; crash < 5; crash++) {
    const before = await headOf(rig)
    // Files, LMDB and files again: a new device and the writing of records go to LMDB.
    for (let i = 0; i < 20; i++) await push(rig, `${crash} ${i}`, i % 7 === 0 ? `new ${crash} ${i}` : 'd')
    await rig.mailbox.append([newMessage('d', `${crash} last`), newMessage('d', `${crash} last`)])
    rig = rig.crash()
    t.equal(await headOf(rig), before + 18)
    t.match(await rig.mailbox.append([newMessage('d', `${crash} last`)]), [{ duplicate: true, seq: before + 18 }])
    if (crash % 2 === 1) rig.clock.advance(2_500)
    const here = rig
    await until('a file again', async () => {
      await push(here, `${crash} ${here.commits.count}`, 'other')
      return here.commits.filed > 0
    })
  }
})

void t.test('lmdb journal files: a store that closes leaves none', { skip }, async (t) => {
  const rig = await filing(t)
  const head = await headOf(rig)
  t.ok(journalFilesIn(rig.folder).length > 0)
  const { folder } = rig
  const after = await rig.restart()
  t.same(journalFilesIn(folder), [])
  t.equal(await headOf(after), head)
})

void t.test('lmdb journal files: a file that nothing is needed of is deleted by the time', { skip }, async (t) => {
  const first = await filing(t)
  const rig = first.crash()
  const [old] = journalFilesIn(rig.folder)
  rig.clock.advance(2_500)
  await rig.mailbox.ping()
  await rig.mailbox.ping()
  t.notOk(existsSync(join(rig.folder, old ?? '')))
  t.equal(await headOf(rig.crash()), await headOf(first))
})

void t.test('lmdb journal files: one is there as long as a device needs it', { skip }, async (t) => {
  const rig = await filing(t)
  const heads = new Map<string, number>()
  for (let i = 0; i < 300; i++) {
    const device = `d${i % 3}`
    await push(rig, `${i}`, device)
    heads.set(device, (heads.get(device) ?? 0) + 1)
    if (i % 10 === 0) rig.clock.advance(1_000)
    if (i % 25 !== 0) continue
    const after = rig.crash()
    for (const [name, head] of heads) t.equal(await headOf(after, name), head)
    await after.drop()
  }
})

void t.test('lmdb journal files: half a record is not read, and what came before it is', { skip }, async (t) => {
  const rig = await filing(t)
  const before = await headOf(rig)
  const size = readFileSync(lastFile(rig)).findLastIndex((byte) => byte !== 0) + 1
  await push(rig, 'torn')
  const whole = readFileSync(lastFile(rig))
  t.ok(whole.findLastIndex((byte) => byte !== 0) > size)
  const torn = rig.crash()
  await torn.drop()
  // As if the power had gone after these bytes.
  for (const bytes of [1, 8, 20, 40]) {
    const content = Buffer.from(whole)
    content.fill(0, size + bytes)
    writeFileSync(lastFile(rig), content)
    const after = rig.crash()
    t.equal(await headOf(after), before, `${bytes} bytes of it`)
    await push(after, 'torn')
    t.equal(await headOf(after), before + 1)
    await after.drop()
  }
})

/** Opens the store that a rig has left. */
async function startOn(rig: LmdbRig): Promise<void> {
  const store = await openLmdbStore({
    path: rig.folder,
    durability: 'disk',
    limits: DEFAULT_MAILBOX_LIMITS,
    log: createLogger({ level: 'silent' }),
  })
  await store.close()
}

void t.test('lmdb journal files: a store without one that it needs is not served', { skip }, async (t) => {
  const rig = await filing(t)
  await push(rig, 'new', 'a new device') // tells LMDB how far the files reach
  const cases: ReadonlyArray<readonly [what: string, harm: (path: string) => void, message: RegExp]> = [
    ['missing', (path) => rmSync(path), /journal cannot be read: journal group \d+ is missing/],
    ['cut short', (path) => truncateSync(path, 64), /journal cannot be read: journal group \d+ is missing/],
    [
      'damaged',
      (path) => damage(path, 90),
      /journal cannot be read: journal group \d+ is missing: journal-\d+\.wal is gone or damaged/,
    ],
    ['with a damaged header', (path) => damage(path, 10), /journal cannot be read: .*header is damaged/],
    ['something else', (path) => writeFileSync(path, 'no journal'), /cannot be read: .*does not begin like a journal/],
  ]
  for (const [what, harm, message] of cases) {
    const left = rig.crash()
    const path = lastFile(left)
    const kept = `${path}.kept`
    copyFileSync(path, kept)
    harm(path)
    await left.close()
    await t.rejects(startOn(left), { name: 'StartupError', message }, what)
    copyFileSync(kept, path)
    rmSync(kept)
    await startOn(left)
    t.same(journalFilesIn(left.folder), [], 'put back, it is served')
  }
})

function damage(path: string, at: number): void {
  const content = readFileSync(path)
  content[at] = (content[at] ?? 0) ^ 0xff
  writeFileSync(path, content)
}

void t.test('lmdb journal files: a disk that takes half of a record', { skip }, async (t) => {
  const rig = await filing(t)
  const before = await headOf(rig)
  const file = lastFile(rig)
  let spared = 1
  rig.commits.fail = () => spared-- <= 0
  const good = push(rig, 'good')
  await new Promise((resolve) => setImmediate(resolve))
  const [stored, ...refused] = await Promise.allSettled([good, push(rig, 'half'), push(rig, 'behind it')])
  rig.commits.fail = () => false
  t.equal(stored.status, 'fulfilled')
  for (const one of refused) t.match(one, { status: 'rejected', reason: { code: 'store_unavailable' } })
  t.equal(await headOf(rig), before + 1)
  const after = rig.crash()
  t.equal(await headOf(after), before + 1, 'nor after a crash')
  rig.clock.advance(5_000)
  await until('another file', async () => {
    await push(rig, `more ${rig.commits.count}`, 'other')
    return lastFile(rig) !== file && rig.commits.filed > 3
  })
  await push(rig, 'half')
  t.equal(await headOf(rig.crash()), before + 2)
})

void t.test('lmdb journal files: nobody else may read them', { skip }, async (t) => {
  const rig = await filing(t)
  t.equal(statSync(lastFile(rig)).mode & 0o777, 0o600)
})

/** Two files are needed, and LMDB knows it. */
async function twoFiles(t: Test): Promise<LmdbRig> {
  const rig = await filing(t)
  rig.commits.fail = () => true
  await t.rejects(push(rig, 'refused'))
  rig.commits.fail = () => false
  rig.clock.advance(300)
  await until('another file', async () => {
    const { count, filed } = rig.commits
    await push(rig, `second ${count}`)
    return journalFilesIn(rig.folder).length > 1 && rig.commits.filed > filed
  })
  await push(rig, 'new', 'a new device')
  return rig
}

void t.test('lmdb journal files: each file that is needed is missed, not only the last', { skip }, async (t) => {
  const rig = await twoFiles(t)
  const head = await headOf(rig)
  t.equal(await headOf(rig.crash()), head)
  const [first = ''] = journalFilesIn(rig.folder)
  for (const harm of [(path: string) => rmSync(path), (path: string) => damage(path, 90)]) {
    const left = rig.crash()
    await left.close()
    harm(join(left.folder, first))
    const message = /journal group \d+ is missing: journal-\d+\.wal is gone or damaged/
    await t.rejects(startOn(left), { name: 'StartupError', message })
  }
})

void t.test('lmdb journal files: those of another database are not taken for its own', { skip }, async (t) => {
  const rig = (await filing(t)).crash()
  const other = (await filing(t)).crash()
  await Promise.all([rig.close(), other.close()])
  copyFileSync(join(other.folder, 'store.mdb'), join(rig.folder, 'store.mdb'))
  await t.rejects(startOn(rig), { name: 'StartupError', message: /written beside another database/ })
})

void t.test(
  'lmdb journal files: a close soon after a failed commit leaves a store that starts',
  { skip },
  async (t) => {
    const rig = await filing(t)
    const before = await headOf(rig)
    rig.commits.fail = () => true
    await t.rejects(push(rig, 'refused'))
    rig.commits.fail = () => false
    rig.clock.advance(300)
    await rig.mailbox.ping() // has looked for what can be cut; the next look is a second later
    rig.clock.advance(300)
    const { epoch = '' } = (await rig.mailbox.info('d')) ?? {}
    await rig.mailbox.ack([{ device: 'd', position: { epoch, seq: before } }])
    t.match(await (await rig.restart()).mailbox.info('d'), { head: before, cursor: before, pending: 0 })
  },
)

/** Runs `work`, which ends the process, and answers with what. */
async function ending(work: () => Promise<void>): Promise<unknown> {
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  let ended: unknown = null
  process.once('uncaughtException', (error) => {
    ended = error
  })
  try {
    await work()
    await until('the end', () => ended !== null)
  } finally {
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
  return ended
}

void t.test('lmdb journal files: a close that halts deletes nothing', { skip }, async (t) => {
  const rig = await filing(t)
  const files = journalFilesIn(rig.folder)
  const path = lastFile(rig)
  const content = readFileSync(path)
  damage(path, 10) // it cannot be read just now
  rig.commits.fail = () => true
  const ended = await ending(async () => {
    await rig.engine.close().catch(() => undefined)
  })
  t.match(ended, { message: /header is damaged/ })
  t.same(journalFilesIn(rig.folder), files)
  writeFileSync(path, content)
  t.equal(await headOf(rig.crash()), await headOf(rig.crash()))
})

void t.test('lmdb journal files: the number of a group that broke off is not given again', { skip }, async (t) => {
  const rig = await filing(t)
  await ending(async () => {
    const half = push(rig, 'half', 'new').catch(() => undefined)
    rig.engine.groups.enter().writes.push(() => {
      throw new Error('as if a table could not be written')
    })
    await half
  })
  const next = rig.crash()
  const before = await headOf(next, 'new')
  await push(next, 'whole', 'new')
  t.equal(await headOf(next.crash(), 'new'), before + 1)
})

void t.test('lmdb journal files: the next one is written when the one before it is at rest', { skip }, async (t) => {
  const rig = openLmdbRig(t, { ...options, limits: { inboxMax: 10_000, inboxMaxBytes: 1 << 30 } })
  let n = 0
  const large = async (): Promise<void> => {
    const payload = Buffer.alloc(100_000, 7)
    const [result] = await rig.mailbox.append([newMessage('d', `large ${n++}`, { payload })])
    if (result?.ok !== true) throw new Error('refused')
  }
  await until('two files', async () => {
    await large()
    return journalFilesIn(rig.folder).length > 1
  })
  // Records that wait for the disk, up to a change of files: only those of one file do.
  const held: Array<{ readonly fd: number; readonly go: () => void }> = []
  rig.commits.hold = (fd) => new Promise((go) => held.push({ fd, go }))
  const pushes = Array.from({ length: 60 }, (_, i) => i)
  const done: Array<Promise<void>> = []
  for (const i of pushes) {
    done.push(large())
    await turn()
    const fds = new Set(held.map(({ fd }) => fd))
    if (fds.size > 1) t.fail(`after ${i}: records of ${fds.size} files are under way`)
    if (held.length === 3 || i % 4 === 3) for (const { go } of held.splice(0)) go()
    await turn()
  }
  rig.commits.hold = null
  for (const { go } of held) go()
  await Promise.all(done)
  t.equal(await headOf(rig.crash()), n)
})
