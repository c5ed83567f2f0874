import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open as openLmdb } from 'lmdb'
import t, { type Test } from 'tap'
import { StartupError } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { newGeneration } from '../../core/stores/lmdb/generation.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'

const log = createLogger({ level: 'silent' })
const open = (path: string) => openLmdbStore({ path, durability: 'disk', limits: DEFAULT_MAILBOX_LIMITS, log })

const HOLDER = `
import { createLogger } from './core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from './core/ports/mailbox.js'
import { openLmdbStore } from './core/stores/lmdb/open.js'
await openLmdbStore({ path: process.env.FOLDER, durability: process.env.DURABILITY, limits: DEFAULT_MAILBOX_LIMITS, log: createLogger({ level: 'silent' }) })
process.stdout.write('open')
setInterval(() => {}, 1000)
`

void t.test(
  'lmdb lock: a folder that another process serves is refused, and free again when that one is killed',
  async (t) => {
    const path = `${t.testdir()}/data`
    const holder = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', HOLDER], {
      env: { ...process.env, FOLDER: path, DURABILITY: 'disk' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => holder.kill('SIGKILL'))
    await once(holder.stdout, 'data')
    await t.rejects(open(path), StartupError)
    await t.rejects(open(path), /served by another process/)
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const store = await open(path)
    await store.close()
  },
)

void t.test('lmdb lock: of ten that open a folder at once one succeeds', async (t) => {
  const path = `${t.testdir()}/data`
  const first = await open(path)
  await first.close()
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => open(path)))
  const winners = results.filter((result) => result.status === 'fulfilled')
  t.equal(winners.length, 1)
  for (const winner of winners) await winner.value.close()
})

void t.test('lmdb lock: works in a folder whose path is too long for a socket', async (t) => {
  const path = `${t.testdir()}/${'long-name/'.repeat(15)}data`
  const store = await open(path)
  await t.rejects(open(path), /served by another process/)
  await store.close()
})

void t.test('lmdb generation: kept by a clean stop, new when asked for', async (t) => {
  const path = `${t.testdir()}/data`
  const first = await open(path)
  await first.close()
  const second = await open(path)
  t.equal(second.generation, first.generation)
  await second.close()
  const generation = await newGeneration(path)
  const third = await open(path)
  t.equal(third.generation, generation)
  t.not(third.generation, first.generation)
  await third.close()
})

/** Opens the folder in a process that is killed, and lets the store believe that it was on an earlier boot of the machine. */
async function crashOnAnotherBoot(t: Test, path: string, durability: 'disk' | 'process'): Promise<void> {
  const holder = spawn(process.execPath, ['--import=tsx', '--input-type=module', '-e', HOLDER], {
    env: { ...process.env, FOLDER: path, DURABILITY: durability },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => holder.kill('SIGKILL'))
  await once(holder.stdout, 'data')
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const env = openLmdb<Buffer, Buffer>({
    path: `${path}/store.mdb`,
    noSubdir: true,
    maxDbs: 32,
    overlappingSync: false,
  })
  const meta = env.openDB<Buffer, Buffer>({ name: 'meta', encoding: 'binary', keyEncoding: 'binary' })
  meta.putSync(Buffer.from('boot'), Buffer.from('another'))
  await env.close()
}

void t.test('lmdb generation: new after an end of the machine that may have lost changes', async (t) => {
  for (const durability of ['disk', 'process'] as const) {
    const path = `${t.testdir()}/${durability}`
    const first = await open(path)
    await first.close()
    await crashOnAnotherBoot(t, path, durability)
    const second = await open(path)
    t.equal(second.generation === first.generation, durability === 'disk', durability)
    await second.close()
  }
})
