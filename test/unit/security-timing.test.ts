// Comparing keys takes as long for a good guess as for a bad one. By construction: only SHA-256 digests are compared, of which a
// guesser knows nothing, and by `timingSafeEqual`. And measured: the same measurement finds a comparison that stops at the first
// difference, which shows that it would find one here.

import t from 'tap'
import { createApiKey, createKeyring } from '../../core/security/api-keys.js'
import { FakeClock } from '../support/fake-clock.js'

const LENGTH = 8_192
const ROUNDS = 300
const CALLS = 10

/** What is measured must differ by more than this in every one of several tries to count as a difference. */
const NOTICEABLE = 0.1
const TRIES = 5

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** How much longer `good` takes than `bad`, as a part of the longer one. Taken in turns, so that what the machine does hits both. */
async function difference(compare: (key: string) => unknown, bad: string, good: string): Promise<number> {
  const times = { bad: new Array<number>(), good: new Array<number>() }
  for (let round = 0; round < ROUNDS; round++) {
    const order = round % 2 === 0 ? (['bad', 'good'] as const) : (['good', 'bad'] as const)
    for (const kind of order) {
      const key = kind === 'bad' ? bad : good
      const begin = process.hrtime.bigint()
      for (let call = 0; call < CALLS; call++) await compare(key)
      times[kind].push(Number(process.hrtime.bigint() - begin))
    }
  }
  const [slow, fast] = [median(times.good), median(times.bad)]
  return Math.abs(slow - fast) / Math.max(slow, fast)
}

/** True when it takes noticeably longer each time that it is tried; noise does so now and then, a leak always. */
async function leaks(compare: (key: string) => unknown, bad: string, good: string): Promise<boolean> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if ((await difference(compare, bad, good)) < NOTICEABLE) return false
  }
  return true
}

const SECRET = 'k'.repeat(LENGTH)
/** Wrong at its first character, and at its last. */
const BAD = `x${SECRET.slice(1)}`
const GOOD = `${SECRET.slice(0, -1)}x`

void t.test('security: the time of a key comparison tells nothing about the key', async (t) => {
  const naive = (key: string): boolean => {
    for (let i = 0; i < SECRET.length; i++) if (key.charCodeAt(i) !== SECRET.charCodeAt(i)) return false
    return key.length === SECRET.length
  }
  t.ok(await leaks(naive, BAD, GOOD), 'the measurement finds a comparison that stops early')

  const keyring = createKeyring({ credentials: { getKey: async () => null }, operatorKeys: [SECRET] })
  t.match(await keyring.authenticate(SECRET), { id: 'operator' })
  t.notOk(await leaks((key) => keyring.authenticate(key), BAD, GOOD), 'the operator’s key')

  const { key, record } = createApiKey('x', ['read'], new FakeClock())
  const stored = createKeyring({ credentials: { getKey: async () => record } })
  t.match(await stored.authenticate(key), { id: record.id })
  const prefix = key.slice(0, -43)
  const secret = key.slice(-43)
  const first = secret.startsWith('A') ? 'B' : 'A'
  const last = secret.endsWith('A') ? 'E' : 'A'
  t.notOk(
    await leaks(
      (guess) => stored.authenticate(guess),
      `${prefix}${first}${secret.slice(1)}`,
      `${prefix}${secret.slice(0, -1)}${last}`,
    ),
    'a stored key',
  )
})

void t.test('security: all keys of an operator are compared, whichever is the right one', async (t) => {
  const keys = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(64, 'k'))
  const keyring = createKeyring({ credentials: { getKey: async () => null }, operatorKeys: keys })
  const [first = '', last = ''] = [keys[0], keys.at(-1)]
  t.match(await keyring.authenticate(first), { id: 'operator' })
  t.notOk(await leaks((key) => keyring.authenticate(key), first, last))
})
