import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { Clock } from '../../core/clock.js'
import {
  createKeySetCache,
  KEY_SET_KEEP_MS,
  KeySetCounters,
  type KeySetCache,
  type KeySetCacheOptions,
} from '../../core/security/key-set-cache.js'
import { fileKeySetMemory } from '../../core/security/key-set-memory.js'
import { keySetSource } from '../../core/security/key-set-source.js'
import { KEY_SET_MAX_BYTES } from '../../core/security/key-set.js'
import { FakeClock } from '../support/fake-clock.js'
import { issuerKey, jwksOf, startJwksServer } from '../support/issuer.js'

const one = issuerKey('ES256', 'one')
const two = issuerKey('ES256', 'two')
const rsa = issuerKey('RS256', 'rsa')
/** Far apart, so that nothing is read unasked while a test runs. */
const TIMES = { refreshMs: 3_600_000, retryMs: 3_600_000, cooldownMs: 30_000 }

interface Rig {
  readonly cache: KeySetCache
  readonly counters: KeySetCounters
  readonly clock: FakeClock
  readonly lines: Array<Record<string, unknown>>
}

function rig(t: Test, location: string, more: Partial<KeySetCacheOptions> & { readonly clock?: FakeClock } = {}): Rig {
  const lines: Array<Record<string, unknown>> = []
  const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const counters = new KeySetCounters()
  const clock = more.clock ?? new FakeClock()
  const cache = createKeySetCache({ source: keySetSource(location), log, counters, times: TIMES, ...more, clock })
  t.teardown(() => cache.stop())
  return { cache, counters, clock, lines }
}

const found = async (
  cache: KeySetCache,
  kid: string | null,
  algorithm: 'ES256' | 'RS256' = 'ES256',
): Promise<string> => {
  const key = await cache.find(algorithm, kid)
  return key === null ? 'none' : typeof key === 'string' ? key : 'found'
}

void t.test(
  'key set cache: keys are found by name and algorithm, and a token needs no name when there is one key',
  async (t) => {
    const server = await startJwksServer(t, jwksOf(one, rsa))
    const { cache } = rig(t, server.url)
    await cache.start()
    t.equal(await found(cache, 'one'), 'found')
    t.equal(await found(cache, 'one', 'RS256'), 'none', 'the name of a key of another algorithm')
    t.equal(await found(cache, null), 'found')
    t.equal(cache.size, 2)
    t.equal(server.requests, 1)
    const several = rig(t, (await startJwksServer(t, jwksOf(one, two))).url)
    await several.cache.start()
    t.equal(await found(several.cache, null), 'none', 'which of two is not guessed')
  },
)

void t.test(
  'key set cache: an unknown key is asked for, all that wait share one read, and then there is a cooldown',
  async (t) => {
    const server = await startJwksServer(t, jwksOf(one))
    const { cache, clock, counters } = rig(t, server.url)
    await cache.start()
    server.serve(jwksOf(one, two))
    t.equal(await found(cache, 'two'), 'none', 'it was read a moment ago')
    t.equal(server.requests, 1)
    clock.advance(TIMES.cooldownMs)
    t.same(
      await Promise.all(Array.from({ length: 20 }, () => found(cache, 'two'))),
      Array.from({ length: 20 }, () => 'found'),
    )
    t.equal(server.requests, 2)
    for (let i = 0; i < 100; i++) await found(cache, `made up ${i}`)
    t.equal(server.requests, 2, 'a flood of made-up names reads nothing')
    t.equal(counters.unknownKeys, 101)
  },
)

void t.test('key set cache: a key that was missed in the cooldown is there when it ends', async (t) => {
  const server = await startJwksServer(t, jwksOf(one))
  const real: Clock = { now: () => Date.now(), monotonic: () => performance.now() }
  const counters = new KeySetCounters()
  const cache = createKeySetCache({
    source: keySetSource(server.url),
    log: pino({ level: 'silent' }),
    counters,
    clock: real,
    times: { ...TIMES, cooldownMs: 1_000 },
  })
  t.teardown(() => cache.stop())
  await cache.start()
  server.serve(jwksOf(two))
  t.equal(await found(cache, 'two'), 'none')
  while (counters.reads.ok < 2) await new Promise((resolve) => setTimeout(resolve, 5))
  t.equal(await found(cache, 'two'), 'found')
  t.equal(server.requests, 2)
})

void t.test('key set cache: a key that is gone from the set is refused after the next read', async (t) => {
  const server = await startJwksServer(t, jwksOf(one, two))
  const { cache } = rig(t, server.url)
  await cache.start()
  server.serve(jwksOf(two))
  await cache.refresh()
  t.equal(await found(cache, 'one'), 'none')
  t.equal(await found(cache, 'two'), 'found')
})

void t.test('key set cache: it survives what its source does, with the last good keys', async (t) => {
  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '))
  const server = await startJwksServer(t, jwksOf(one))
  const elsewhere = await startJwksServer(t, jwksOf(two))
  const { cache, counters, clock, lines } = rig(t, server.url)
  await cache.start()
  const failures: ReadonlyArray<readonly [name: string, answer: Parameters<typeof server.serve>[0], why: RegExp]> = [
    ['an error', (r) => r.writeHead(500).end(jwksOf(two)), /answered 500/],
    ['a page', '<html>', /not JSON/],
    ['an empty set', '{"keys":[]}', /no key/],
    ['a redirect', (r) => r.writeHead(302, { location: elsewhere.url }).end(), /redirect/],
    ['too many bytes', ' '.repeat(KEY_SET_MAX_BYTES + 1), /larger/],
    ['a decompression bomb', (r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb), /larger/],
    ['a hang-up', (r) => r.destroy(), /fetch failed|terminated/],
    ['half an answer', (r) => { r.writeHead(200, { 'content-length': 1_000 }).write('{'); setImmediate(() => r.destroy()) }, /terminated|fetch failed/], // prettier-ignore
    ['no UTF-8', (r) => r.end(Buffer.from([0xff, 0xfe])), /UTF-8/],
  ]
  for (const [name, answer, why] of failures) {
    server.serve(answer)
    const before = counters.reads.failed
    await cache.refresh()
    t.equal(counters.reads.failed, before + 1, name)
    t.equal(await found(cache, 'one'), 'found', name)
    t.equal(await found(cache, 'two'), 'none', name)
    const last = lines.findLast(({ msg }) => msg === 'the keys for device tokens could not be read')
    // Logged at the first, second, fourth … failure in a row.
    if ([1, 2, 4, 8].includes(counters.reads.failed)) t.match(last, { level: 50, err: { message: why } }, name)
  }
  t.equal(elsewhere.requests, 0, 'a redirect is not followed')
  t.match(
    lines.find(({ msg }) => msg === 'the keys for device tokens could not be read'),
    { keptForMs: KEY_SET_KEEP_MS },
  )
  server.serve(jwksOf(two))
  await cache.refresh()
  t.equal(await found(cache, 'two'), 'found')
  t.ok(lines.some(({ msg, failures: n }) => /is back/.test(String(msg)) && n === 9))
  t.equal(cache.ageMs, 0)
  clock.advance(5)
  t.equal(cache.ageMs, 5)
})

void t.test('key set cache: an answer that does not come ends after the time that a read may take', async (t) => {
  const server = await startJwksServer(t, jwksOf(one))
  const source = keySetSource(server.url)
  server.serve((response) => void response.writeHead(200).write('{'))
  await t.rejects(source.read(AbortSignal.timeout(100)), { name: 'KeySetError' })
})

void t.test('key set cache: keys that are too old say nothing about a token any more', async (t) => {
  const server = await startJwksServer(t, jwksOf(one))
  const { cache, clock } = rig(t, server.url)
  await cache.start()
  server.serve((response) => response.writeHead(503).end())
  clock.advance(KEY_SET_KEEP_MS - 1)
  t.equal(await found(cache, 'one'), 'found')
  clock.advance(1)
  t.equal(await found(cache, 'one'), 'unavailable')
  server.serve(jwksOf(one))
  clock.advance(TIMES.cooldownMs)
  t.equal(await found(cache, 'one'), 'found', 'and are back with the source')
})

void t.test(
  'key set cache: a source that is away at the start is tried on; a file that cannot be used is a mistake',
  async (t) => {
    const server = await startJwksServer(t, 'not yet')
    const { cache, clock } = rig(t, server.url)
    await cache.start()
    t.equal(await found(cache, 'one'), 'unavailable')
    server.serve(jwksOf(one))
    clock.advance(TIMES.cooldownMs)
    t.equal(await found(cache, 'one'), 'found')
    await t.rejects(rig(t, '/nowhere/keys.json').cache.start(), { name: 'KeySetError', message: /nowhere.*ENOENT/ })
  },
)

void t.test(
  'key set cache: the last good keys survive a restart, but not for ever and not for another source',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-jwks-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const file = join(folder, 'jwks-cache.json')
    const server = await startJwksServer(t, jwksOf(one))
    const log = pino({ level: 'silent' })
    const memory = fileKeySetMemory(file, server.url, log)
    const first = rig(t, server.url, { memory })
    await first.cache.start()
    first.cache.stop()
    t.equal((await stat(file)).mode & 0o777, 0o600)

    server.serve((response) => response.writeHead(503).end())
    const second = rig(t, server.url, { memory })
    await second.cache.start()
    t.equal(await found(second.cache, 'one'), 'found')

    const clock = new FakeClock()
    clock.advance(KEY_SET_KEEP_MS)
    const late = rig(t, server.url, { memory, clock })
    await late.cache.start()
    t.equal(await found(late.cache, 'one'), 'unavailable', 'too old')
    const other = rig(t, server.url, { memory: fileKeySetMemory(file, 'https://other.example/keys', log) })
    await other.cache.start()
    t.equal(await found(other.cache, 'one'), 'unavailable', 'the keys of another source')
    await writeFile(file, (await readFile(file, 'utf8')).slice(0, 50))
    const broken = rig(t, server.url, { memory })
    await broken.cache.start()
    t.equal(await found(broken.cache, 'one'), 'unavailable', 'half a file')
  },
)

void t.test(
  'key set cache: a file is read again when it changes, and its last good keys outlive a mistake',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-jwks-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const file = join(folder, 'keys.json')
    await writeFile(file, jwksOf(one))
    const { cache, counters } = rig(t, file)
    await cache.start()
    t.equal(await found(cache, 'one'), 'found')
    await writeFile(file, jwksOf(one).slice(0, 40))
    await cache.refresh()
    t.equal(counters.reads.failed, 1)
    t.equal(await found(cache, 'one'), 'found')
    await writeFile(file, jwksOf(two))
    await cache.refresh()
    t.equal(await found(cache, 'two'), 'found')
    t.equal(await found(cache, 'one'), 'none')
    await writeFile(file, ' '.repeat(KEY_SET_MAX_BYTES + 1))
    await cache.refresh()
    t.equal(await found(cache, 'two'), 'found')
  },
)

void t.test('key set cache: a query is not logged', async (t) => {
  const server = await startJwksServer(t, 'no')
  const { cache, lines } = rig(t, `${server.url}?key=topsecret`)
  await cache.start()
  t.ok(lines.length > 0)
  t.notMatch(JSON.stringify(lines), 'topsecret')
})
