// The secrets in the data folder while the server runs: what is written there is in force within seconds, without a restart,
// so that a secret can be changed while devices and backends go on.

import { setTimeout as delay } from 'node:timers/promises'
import { StartupError } from '../core/errors.js'
import type { Logger } from '../core/log.js'
import { readSecretFile } from './secrets.js'

/** How often a file is looked at. By content: how it was changed makes no difference. */
export const SECRET_POLL_MS = 5_000

/** What is not the same a moment later is still being written. */
const SETTLE_MS = 100

export interface WatchedSecret {
  readonly path: string
  /** What is in force now. */
  readonly text: string
  /** See `readSecretFile`. */
  readonly groupMay?: true
  /** Puts it in force; throws StartupError when it is none. */
  use(this: void, text: string, path: string): void
}

export class SecretCounters {
  /** Of files that were different: taken, or not. */
  readonly reloads: Record<'changed' | 'failed', number> = { changed: 0, failed: 0 }
}

export interface SecretWatchOptions {
  readonly log: Logger
  readonly counters: SecretCounters
  readonly pollMs?: number
  /** How long is waited before a changed file is read again. */
  readonly settle?: (this: void) => Promise<void>
}

export interface SecretWatch {
  /** Looks at the files now. */
  look(): Promise<void>
  stop(): Promise<void>
}

/**
 * What cannot be used changes nothing: it is logged as an error (without the secret) and counted once, and what was in force
 * stays in force.
 */
export function watchSecrets(secrets: readonly WatchedSecret[], options: SecretWatchOptions): SecretWatch {
  const { log, counters, pollMs = SECRET_POLL_MS, settle = () => delay(SETTLE_MS) } = options
  /** What each was when it was looked at last: its text, or what was wrong with it. */
  const seen = new Map(secrets.map(({ path, text }) => [path, text]))
  let looking: Promise<void> = Promise.resolve()

  /** The text of a file that nobody writes to at this moment; null: somebody does. */
  async function read(path: string, groupMay: boolean): Promise<string | null> {
    const text = await readSecretFile(path, groupMay)
    if (text === null) throw new StartupError(`${path}: is gone`)
    if (text === seen.get(path)) return text
    await settle()
    return (await readSecretFile(path, groupMay)) === text ? text : null
  }

  async function lookAt({ path, groupMay, use }: WatchedSecret): Promise<void> {
    const before = seen.get(path)
    try {
      const text = await read(path, groupMay === true)
      if (text === null || text === before) return
      use(text, path)
      seen.set(path, text)
      counters.reloads.changed++
      log.info({ path }, 'a changed secret is in force')
    } catch (err) {
      const complaint = `wrong: ${String(err)}`
      if (complaint === before) return
      seen.set(path, complaint)
      counters.reloads.failed++
      log.error({ err, path }, 'a secret cannot be used as it is now; what was in force stays in force')
    }
  }

  async function lookAtAll(): Promise<void> {
    for (const secret of secrets) await lookAt(secret)
  }

  const look = (): Promise<void> => (looking = looking.then(lookAtAll))
  const timer = setInterval(() => void look(), pollMs)
  timer.unref()
  return {
    look,
    async stop() {
      clearInterval(timer)
      await looking
    },
  }
}
