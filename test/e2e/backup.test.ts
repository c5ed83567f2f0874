// `postrider backup` of a file store that is served, and what devices and backends see once a server starts on the copy.

import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { restoreScenario } from '../support/backup/restore-scenario.js'
import { runCommand } from '../support/command.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

async function folderOf(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-backup-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

for (const durability of ['disk', 'process']) {
  void t.test(`backup: of a served file store (${durability}), put back elsewhere: nothing is mistaken`, async (t) => {
    const folder = await folderOf(t)
    const place = { now: join(folder, 'first') }
    await restoreScenario(t, {
      flags: () => ['--durability', durability],
      folder: () => place.now,
      backUp: async () => {
        const done = await runCommand(t, ['backup', '--store', `file:${place.now}`, '--to', join(folder, 'copy')])
        t.match(done, { code: 0, stdout: `${join(folder, 'copy')}\n`, stderr: /api-key, token-secret/ })
      },
      restore: async () => {
        await rm(place.now, { recursive: true })
        place.now = join(folder, 'second')
        await cp(join(folder, 'copy'), place.now, { recursive: true })
      },
    })
  })
}

void t.test(
  'backup: any other copy of the file store needs generation new, and then nothing is mistaken',
  async (t) => {
    const folder = await folderOf(t)
    const place = { now: join(folder, 'first') }
    await restoreScenario(t, {
      flags: () => [],
      folder: () => place.now,
      // As a snapshot of the file system: the folder as it is at one moment.
      backUp: async (server) => {
        process.kill(server.pid, 'SIGSTOP')
        await until('the server to stand still', () =>
          /^\d+ \(.*\) T /.test(readFileSync(`/proc/${server.pid}/stat`, 'utf8')),
        )
        await cp(place.now, join(folder, 'copy'), { recursive: true, filter: (path) => !path.endsWith('.sock') })
        process.kill(server.pid, 'SIGCONT')
      },
      restore: async () => {
        await rm(place.now, { recursive: true })
        place.now = join(folder, 'second')
        await cp(join(folder, 'copy'), place.now, { recursive: true })
        const done = await runCommand(t, ['generation', 'new'], { env: { POSTRIDER_STORE: `file:${place.now}` } })
        t.match(done, { code: 0, stdout: '', stderr: /second is a new generation/ })
      },
    })
  },
)

void t.test('backup: each start on the same copy is another generation', async (t) => {
  const folder = await folderOf(t)
  const server = await TestServer.start(t)
  const push = async (to: TestServer, dedupId: string) => {
    const { body } = await to.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x', dedupId })
    return typeof body === 'object' && body !== null && 'epoch' in body ? body.epoch : null
  }
  const epochs = [await push(server, 'one')]
  const copy = join(folder, 'copy')
  t.match(await runCommand(t, ['backup', '--store', `file:${server.folder}`, '--to', copy]), { code: 0 })
  t.equal(await push(server, 'two'), epochs[0], 'a backup changes nothing for who goes on')
  for (const name of ['a', 'b']) {
    await cp(copy, join(folder, name), { recursive: true })
    const restored = await TestServer.start(t, { folder: join(folder, name) })
    epochs.push(await push(restored, 'two'))
    await restored.stop()
    await restored.restart()
    t.equal(await push(restored, 'three'), epochs.at(-1), 'and a restart is none')
    await restored.stop()
  }
  t.equal(new Set(epochs).size, 3, epochs.join(' '))
})

void t.test(
  'backup: of a store under load: all that was accepted before, and no gap in what came meanwhile',
  async (t) => {
    const folder = await folderOf(t)
    const server = await TestServer.start(t)
    const devices = Array.from({ length: 4 }, (_, i) => `phone-${i}`)
    /** The highest seq that was answered, by device. */
    const heads = new Map<string, number>()
    const stopped = new AbortController()
    const lanes = devices.map(async (device) => {
      for (let n = 0; !stopped.signal.aborted; n++) {
        const { body } = await server.rest('POST', `/v1/devices/${device}/messages`, { payload: `${n}`, ttl: 3_600 })
        if (typeof body !== 'object' || body === null || !('seq' in body)) throw new Error(JSON.stringify(body))
        heads.set(device, Number(body.seq))
        // New devices go another way to the disk than messages to those that are known.
        if (n % 10 === 0) await server.rest('POST', `/v1/devices/${device}-${n}/messages`, { payload: 'x' })
      }
    })
    try {
      for (let round = 0; round < 3; round++) {
        await until('more messages', () => devices.every((device) => (heads.get(device) ?? 0) >= round * 50 + 50))
        const before = new Map(heads)
        const copy = join(folder, `copy-${round}`)
        t.match(await runCommand(t, ['backup', '--store', `file:${server.folder}`, '--to', copy]), { code: 0 })
        t.notMatch(readdirSync(copy).join(), /journal-/, 'the copy is one file')
        const store = await openLmdbStore({
          path: copy,
          durability: 'disk',
          limits: DEFAULT_MAILBOX_LIMITS,
          log: createLogger({ level: 'silent' }),
        })
        for (const device of devices) {
          const info = await store.mailbox.info(device)
          const head = info?.head ?? 0
          const least = before.get(device) ?? 0
          if (head < least) t.fail(`copy ${round}: ${device} ends at ${head}, ${least} was accepted before`)
          const peeked = await store.mailbox.peek(device, { after: 0, limit: 10_000, maxBytes: 1e8 })
          const seqs = peeked?.messages.map(({ message }) => message.seq) ?? []
          t.same(
            seqs,
            Array.from({ length: head }, (_, i) => i + 1),
            `copy ${round}: ${device}, ${head} messages`,
          )
        }
        await store.close()
      }
    } finally {
      stopped.abort()
      await Promise.all(lanes)
    }
  },
)

void t.test('backup: is there as a whole, for its owner alone, or not at all', async (t) => {
  const folder = await folderOf(t)
  const server = await TestServer.start(t)
  const backup = (...flags: string[]) => runCommand(t, ['backup', '--store', `file:${server.folder}`, ...flags])
  t.match(await backup(), { code: 64, stderr: /needs --to and a folder that does not exist yet/ })
  mkdirSync(join(folder, 'taken'))
  t.match(await backup('--to', join(folder, 'taken')), { code: 73, stderr: /taken is there already/ })
  t.match(await backup('--to', '/proc/nowhere/copy'), {
    code: 73,
    stderr: /cannot be written to \/proc\/nowhere\/copy/,
  })
  const none = ['backup', '--store', `file:${folder}/none`, '--to', join(folder, 'copy')]
  t.match(await runCommand(t, none), { code: 73, stderr: /there is no store in .*none \(no store\.mdb\)/ })
  for (const url of ['redis://:hush@127.0.0.1:6379', 'mongodb://u:hush@127.0.0.1/postrider']) {
    const env = { POSTRIDER_STORE: url }
    const refused = await runCommand(t, ['backup', '--to', join(folder, 'copy')], { env })
    t.notMatch(refused.stderr, /hush/)
    t.ok(refused.code === 64 || refused.code === 78, refused.stderr)
  }
  t.same(readdirSync(folder), ['taken'], 'nothing is left of those that failed')
  t.notOk(existsSync(join(folder, 'none')), 'and nothing is made')
  t.match(await backup('--to', join(folder, 'copy')), { code: 0 })
  t.equal(statSync(join(folder, 'copy')).mode & 0o777, 0o700)
  t.same(readdirSync(join(folder, 'copy')).toSorted(), ['api-key', 'store.mdb', 'token-secret'])
  for (const name of ['api-key', 'token-secret']) {
    t.equal(statSync(join(folder, 'copy', name)).mode & 0o777, 0o600)
    t.same(readFileSync(join(folder, 'copy', name)), readFileSync(join(server.folder, name)))
  }
})

void t.test('generation: refused while the store is served, and where there is none', async (t) => {
  const server = await TestServer.start(t)
  const on = (store: string) => runCommand(t, ['generation', 'new', '--store', store])
  t.match(await on(`file:${server.folder}`), { code: 75, stderr: /is served by another process; stop it first/ })
  await server.stop()
  t.match(await on(`file:${server.folder}`), { code: 0 })
  t.match(await on(`file:${server.folder}/none`), { code: 73, stderr: /there is no store in/ })
  t.notOk(existsSync(join(server.folder, 'none')))
  t.match(await on('redis://:hush@127.0.0.1:1'), { code: 69, stderr: /^(?!.*hush).*cannot be reached/ })
  t.match(await on('redis://'), { code: 78, stderr: /--store: "redis:\/\/" cannot be|--store/ })
  t.match(await runCommand(t, ['generation']), { code: 64, stderr: /needs the word new first/ })
  t.match(await runCommand(t, ['generation', 'new', 'now']), { code: 64, stderr: /one argument too many/ })
})
