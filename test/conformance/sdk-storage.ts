// What every storage of the SDK must do. A driver's test file names its factory.

import type { Test } from 'tap'
import type { Storage, StorageChange } from '../../sdk/device/storage/storage.js'

export interface StorageFactory {
  readonly name: string
  /** A storage of its own for a test; every call of `open` is another client after the last one has closed. */
  make(t: Test): Promise<{ open(): Storage }>
}

const bytes = (...values: readonly number[]): Uint8Array => Uint8Array.from(values)

async function contents(storage: Storage): Promise<ReadonlyArray<readonly [string, readonly number[]]>> {
  const values = await storage.load()
  return [...values]
    .map(([key, value]): readonly [string, readonly number[]] => [key, [...value]])
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

export function storageSuite(t: Test, factory: StorageFactory): void {
  const test = (title: string, run: (t: Test, open: () => Storage) => Promise<void>): void => {
    void t.test(`SDK storage ${factory.name}: ${title}`, async (t) => {
      const made = await factory.make(t)
      await run(t, () => made.open())
    })
  }

  test('it begins empty, and keeps what was written', async (t, open) => {
    const first = open()
    t.same(await contents(first), [])
    await first.write([
      ['b', bytes(2)],
      ['a', bytes()],
    ])
    await first.write([['c', bytes(0, 255)]])
    await first.close()
    t.same(await contents(open()), [
      ['a', []],
      ['b', [2]],
      ['c', [0, 255]],
    ])
  })

  test('a later change of a key replaces the earlier one, null forgets it', async (t, open) => {
    const first = open()
    await first.load()
    await first.write([
      ['a', bytes(1)],
      ['a', bytes(2)],
      ['b', bytes(1)],
      ['c', bytes(1)],
    ])
    await first.write([
      ['b', null],
      ['c', null],
      ['c', bytes(3)],
      ['never there', null],
    ])
    await first.close()
    t.same(await contents(open()), [
      ['a', [2]],
      ['c', [3]],
    ])
  })

  test('keys are data: any text, and no name is special', async (t, open) => {
    const keys = ['__proto__', 'constructor', '', 'é/\u0001', 'id/d:phone-1/17', 'x'.repeat(300)]
    const first = open()
    await first.load()
    await first.write(keys.map((key, i): StorageChange => [key, bytes(i)]))
    await first.close()
    t.same(
      await contents(open()),
      keys.map((key, i) => [key, [i]]).toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
    )
  })

  test('large and many values', async (t, open) => {
    const first = open()
    await first.load()
    const large = new Uint8Array(300_000).fill(7)
    await first.write([['large', large]])
    for (let i = 0; i < 50; i++) {
      await first.write(Array.from({ length: 40 }, (_, j): StorageChange => [`k${j}`, new Uint8Array(500).fill(i)]))
    }
    await first.close()
    const values = await open().load()
    t.equal(values.size, 41)
    t.ok(Buffer.from(values.get('large') ?? []).equals(Buffer.from(large)))
    t.equal(values.get('k39')?.[499], 49)
  })

  test('no changes are fine', async (t, open) => {
    const first = open()
    await first.load()
    await first.write([])
    await first.close()
    t.same(await contents(open()), [])
  })
}
