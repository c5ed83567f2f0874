import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import type { Storage } from '../../sdk/device/storage/storage.js'
import { fileStorage } from '../../sdk/file-storage.js'
import { storageSuite } from '../conformance/sdk-storage.js'

async function newFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-sdk-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

storageSuite(t, {
  name: 'file',
  make: async (t) => {
    const folder = join(await newFolder(t), 'made', 'when missing')
    const opened: Storage[] = []
    t.teardown(() => Promise.all(opened.map((storage) => storage.close())))
    return {
      open: () => {
        const storage = fileStorage({ folder })
        opened.push(storage)
        return storage
      },
    }
  },
})
storageSuite(t, {
  name: 'file in a folder with a long path, without fsync',
  make: async (t) => {
    const folder = join(await newFolder(t), 'x'.repeat(120))
    const opened: Storage[] = []
    t.teardown(() => Promise.all(opened.map((storage) => storage.close())))
    return {
      open: () => {
        const storage = fileStorage({ folder, fsync: false })
        opened.push(storage)
        return storage
      },
    }
  },
})
storageSuite(t, {
  name: 'memory',
  make: () => {
    const storage = memoryStorage()
    return Promise.resolve({ open: () => storage })
  },
})

/** A file with ten batches, one key each. */
async function tenBatches(
  t: Test,
): Promise<{ readonly folder: string; readonly journal: string; readonly ends: readonly number[] }> {
  const folder = await newFolder(t)
  const journal = join(folder, 'journal')
  const storage = fileStorage({ folder })
  await storage.load()
  const ends: number[] = []
  for (let i = 0; i < 10; i++) {
    await storage.write([[`k${i}`, new Uint8Array(20).fill(i + 1)]])
    ends.push((await stat(journal)).size)
  }
  await storage.close()
  return { folder, journal, ends }
}

async function sizeAfterLoad(folder: string): Promise<number> {
  const storage = fileStorage({ folder })
  try {
    return (await storage.load()).size
  } finally {
    await storage.close()
  }
}

void t.test(
  'SDK storage file: wherever the file is cut, the whole batches before it are there, and it goes on',
  async (t) => {
    const { folder, journal, ends } = await tenBatches(t)
    const whole = await readFile(journal)
    for (let length = whole.length; length >= 0; length -= 3) {
      await writeFile(journal, whole.subarray(0, length))
      const expected = ends.filter((end) => end <= length).length
      t.equal(await sizeAfterLoad(folder), expected, `cut to ${length} bytes`)
      const storage = fileStorage({ folder })
      await storage.load()
      await storage.write([['more', Uint8Array.of(1)]])
      await storage.close()
      t.equal(await sizeAfterLoad(folder), expected + 1)
    }
  },
)

void t.test('SDK storage file: a last batch with wrong bytes, or zeros behind it, never was', async (t) => {
  const { folder, journal, ends } = await tenBatches(t)
  const whole = await readFile(journal)
  const wrong = Buffer.from(whole)
  wrong[whole.length - 1] = 0xaa
  await writeFile(journal, wrong)
  t.equal(await sizeAfterLoad(folder), 9)
  await writeFile(journal, whole)
  await appendFile(journal, Buffer.alloc(4_096))
  t.equal(await sizeAfterLoad(folder), 10)
  t.equal((await stat(journal)).size, ends.at(-1), 'cut off')
})

void t.test('SDK storage file: damage in the middle is told, and nothing is changed', async (t) => {
  const { folder, journal, ends } = await tenBatches(t)
  const whole = await readFile(journal)
  for (const at of [0, 5, 30, (ends[3] ?? 0) + 12]) {
    const wrong = Buffer.from(whole)
    wrong[at] = (wrong[at] ?? 0) ^ 0xff
    await writeFile(journal, wrong)
    await t.rejects(sizeAfterLoad(folder), { code: 'storage_unusable' }, `byte ${at}`)
    t.ok((await readFile(journal)).equals(wrong))
  }
  await writeFile(journal, whole)
  t.equal(await sizeAfterLoad(folder), 10)
})

void t.test('SDK storage file: the file does not grow with what was forgotten', async (t) => {
  const folder = await newFolder(t)
  const storage = fileStorage({ folder, fsync: false })
  await storage.load()
  for (let i = 0; i < 3_000; i++) await storage.write([['k', new Uint8Array(1_000).fill(i)]])
  t.ok((await stat(join(folder, 'journal'))).size < 300_000)
  await storage.close()
  t.same(await readdir(folder), ['journal'])
})

void t.test('SDK storage file: a second client waits for the first, then is told', async (t) => {
  const folder = await newFolder(t)
  const first = fileStorage({ folder })
  await first.load()
  await t.rejects(fileStorage({ folder, lockTimeoutMs: 100 }).load(), {
    code: 'storage_in_use',
    message: new RegExp(folder),
  })
  const second = fileStorage({ folder, lockTimeoutMs: 5_000 })
  const loading = second.load()
  await first.close()
  await loading
  await t.rejects(first.write([['a', Uint8Array.of(1)]]), { code: 'storage_failed' })
  await second.close()
})

void t.test('SDK storage file: a failed write ends it', async (t) => {
  const folder = await newFolder(t)
  const storage = fileStorage({ folder })
  await storage.load()
  await storage.write([['a', Uint8Array.of(1)]])
  await storage.close()
  await truncate(join(folder, 'journal'), 0)
  await rm(join(folder, 'journal'))
  t.equal(await sizeAfterLoad(folder), 0, 'a file that is gone is an empty one')
  await writeFile(join(folder, 'x'), 'in the way')
  await t.rejects(fileStorage({ folder: join(folder, 'x') }).load(), /EEXIST|ENOTDIR/)
})
