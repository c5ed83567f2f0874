// The keys of a JWKS while the server runs: read at the start, again now and then, and when a token names a key that is not
// known. Tokens are verified with what is in memory; nobody waits for the source but the first who names an unknown key.
//
// When the source cannot be read, the keys of the last good answer are used on, for `KEY_SET_KEEP_MS` since that answer;
// after that nothing can be said of a token ('unavailable'), which is not the same as a bad one. With `memory`, this holds
// across a restart.

import type { Clock } from '../clock.js'
import type { Logger } from '../log.js'
import type { CryptoKey } from 'jose'
import { readKeySet, type KeySet, type PublicAlgorithm } from './key-set.js'
import type { KeySetSource } from './key-set-source.js'

/** How long the last good answer counts when there is no newer one: a weekend, and the Monday to notice. */
export const KEY_SET_KEEP_MS = 3 * 86_400_000

/** Each read of the source, as a whole. */
export const KEY_SET_TIMEOUT_MS = 5_000

export interface KeySetTimes {
  /** Between reads that went well. */
  readonly refreshMs: number
  /** Between reads while the source fails: the first wait; it doubles up to `refreshMs`. */
  readonly retryMs: number
  /**
   * An unknown key makes the source be read, but not sooner after the last time than this, because anybody can make up a
   * token. Until then such a token is refused unasked.
   */
  readonly cooldownMs: number
}

export const KEY_SET_TIMES: Readonly<Record<KeySetSource['kind'], KeySetTimes>> = {
  url: { refreshMs: 600_000, retryMs: 5_000, cooldownMs: 10_000 },
  file: { refreshMs: 10_000, retryMs: 10_000, cooldownMs: 1_000 },
}

/** Keeps the last good answer where a restart finds it. */
export interface KeySetMemory {
  /** Null: nothing is kept that can be used. Never rejects. */
  load(): Promise<{ readonly text: string; readonly at: number } | null>
  /** `at`: milliseconds UTC. Never rejects: without it a restart has to ask the source. */
  save(text: string, at: number): Promise<void>
}

export class KeySetCounters {
  /** Reads of the source. */
  readonly reads: Record<'ok' | 'failed', number> = { ok: 0, failed: 0 }
  /** Tokens that named a key which was not found. */
  unknownKeys = 0
}

export interface KeySetCache {
  /**
   * Reads the source once, else what memory has. A URL that does not answer is tried on; a file that cannot be used is a
   * mistake: rejects with KeySetError.
   */
  start(): Promise<void>
  /**
   * The key that a token names; null: there is no such key. Without `kid`, the only one of that algorithm. Never rejects.
   */
  find(algorithm: PublicAlgorithm, kid: string | null): Promise<CryptoKey | null | 'unavailable'>
  /** Reads the source now. */
  refresh(): Promise<void>
  readonly size: number
  /** Since the last good answer, or since the start when there was none; milliseconds. */
  readonly ageMs: number
  stop(): void
}

export interface KeySetCacheOptions {
  readonly source: KeySetSource
  readonly clock: Clock
  readonly log: Logger
  readonly counters: KeySetCounters
  readonly memory?: KeySetMemory
  readonly times?: KeySetTimes
  /** 0 ≤ random < 1 */
  readonly random?: () => number
}

export function createKeySetCache(options: KeySetCacheOptions): KeySetCache {
  const { source, clock, log, counters, memory, random = Math.random } = options
  const times = options.times ?? KEY_SET_TIMES[source.kind]
  const { name } = source
  const madeAt = clock.monotonic()
  let keys: KeySet['keys'] = []
  /** Monotonic time of the last good answer. */
  let goodAt: number | null = null
  /** Monotonic time of the last attempt's begin. */
  let triedAt: number | null = null
  let text: string | null = null
  let failures = 0
  let attempt: Promise<boolean> | null = null
  let timer: NodeJS.Timeout | null = null
  let dueAt = 0
  let stopped = false
  const stopping = new AbortController()

  function take(set: KeySet, at: number): void {
    keys = set.keys
    goodAt = at
    const kids = set.keys.map(({ kid, algorithm }) => `${algorithm} ${kid ?? '(no kid)'}`)
    log.info({ source: name, keys: kids, ignored: set.ignored }, 'keys for device tokens taken')
  }

  async function readOnce(): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(KEY_SET_TIMEOUT_MS)])
    const read = await source.read(signal)
    const now = clock.monotonic()
    if (read === text) goodAt = now
    else {
      take(await readKeySet(read), now)
      text = read
    }
    await memory?.save(read, clock.now())
  }

  async function tryOnce(): Promise<boolean> {
    try {
      await readOnce()
      counters.reads.ok++
      if (failures > 0) log.info({ source: name, failures }, 'the source of keys for device tokens is back')
      failures = 0
      return true
    } catch (err) {
      if (stopped) return false
      counters.reads.failed++
      failures++
      // The first, the second, the fourth … in a row.
      if ((failures & (failures - 1)) === 0) {
        const keptForMs = goodAt === null ? 0 : Math.max(0, KEY_SET_KEEP_MS - (clock.monotonic() - goodAt))
        log.error({ err, source: name, keptForMs }, 'the keys for device tokens could not be read')
      }
      return false
    }
  }

  /** One read at a time; whoever asks meanwhile gets that one's end. */
  function refresh(): Promise<boolean> {
    if (attempt !== null) return attempt
    triedAt = clock.monotonic()
    attempt = tryOnce().finally(() => {
      attempt = null
      schedule(failures === 0 ? times.refreshMs : Math.min(times.refreshMs, times.retryMs * 2 ** (failures - 1)))
    })
    return attempt
  }

  function schedule(afterMs: number): void {
    if (timer !== null) clearTimeout(timer)
    if (stopped) return
    // Many nodes that started together do not ask together for ever.
    const waitMs = afterMs * (0.9 + 0.2 * random())
    dueAt = clock.monotonic() + waitMs
    timer = setTimeout(() => void refresh(), waitMs)
    timer.unref()
  }

  function known(algorithm: PublicAlgorithm, kid: string | null): CryptoKey | null {
    const fit = keys.filter((key) => key.algorithm === algorithm && (kid === null || key.kid === kid))
    return fit.length === 1 ? (fit[0]?.key ?? null) : null
  }

  const isGood = (): boolean => goodAt !== null && clock.monotonic() - goodAt < KEY_SET_KEEP_MS

  async function find(algorithm: PublicAlgorithm, kid: string | null): Promise<CryptoKey | null | 'unavailable'> {
    const key = isGood() ? known(algorithm, kid) : null
    if (key !== null) return key
    const cooldown = triedAt === null ? 0 : times.cooldownMs - (clock.monotonic() - triedAt)
    if (attempt !== null || cooldown <= 0) await refresh()
    else if (dueAt > clock.monotonic() + 2 * cooldown) schedule(cooldown)
    if (!isGood()) return 'unavailable'
    const found = known(algorithm, kid)
    if (found === null) counters.unknownKeys++
    return found
  }

  /** From the last run. Whether it is used. */
  async function recall(): Promise<boolean> {
    const kept = await memory?.load()
    if (kept === null || kept === undefined) return false
    const ageMs = Math.max(0, clock.now() - kept.at)
    if (ageMs >= KEY_SET_KEEP_MS) return false
    try {
      take(await readKeySet(kept.text), clock.monotonic() - ageMs)
      text = kept.text
      return true
    } catch (err) {
      log.warn({ err, source: name }, 'the keys kept from the last run cannot be used')
      return false
    }
  }

  return {
    async start() {
      if (source.kind === 'file') {
        await readOnce()
        schedule(times.refreshMs)
        return
      }
      if (await refresh()) return
      if (await recall()) log.warn({ source: name }, 'keys for device tokens of the last run are used')
    },
    find,
    async refresh() {
      await refresh()
    },
    get size() {
      return keys.length
    },
    get ageMs() {
      return clock.monotonic() - (goodAt ?? madeAt)
    },
    stop() {
      stopped = true
      stopping.abort()
      if (timer !== null) clearTimeout(timer)
    },
  }
}
