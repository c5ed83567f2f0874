// The server's certificate while the server runs: looked at again now and then, and when somebody says so.

import type { Clock } from '../clock.js'
import type { Logger } from '../log.js'
import { readTlsMaterial, TlsMaterialError, type TlsFiles, type TlsMaterial } from './material.js'

/** How often the files are looked at. By content: links that are moved (Kubernetes) need no special case. */
export const TLS_POLL_MS = 10_000

/** A certificate that ends sooner is warned of. */
const EXPIRES_SOON_MS = 7 * 86_400_000

export type ReloadResult = 'unchanged' | 'changed' | 'failed'

export class CertificateCounters {
  /** Of the files that were different: taken, or not. */
  readonly reloads: Record<Exclude<ReloadResult, 'unchanged'>, number> = { changed: 0, failed: 0 }
}

export interface Certificates {
  /** What new handshakes use. */
  readonly current: TlsMaterial
  /** `use` is called with each new set; it must not throw. What it returns ends that. */
  onChange(use: (material: TlsMaterial) => void): () => void
  /**
   * Reads the files now. A set that cannot be used changes nothing, is logged as an error and counted; what was served before
   * is served on. Never rejects.
   */
  reload(): Promise<ReloadResult>
  /** Looks at the files no more. */
  stop(): void
}

export interface CertificatesOptions {
  readonly files: TlsFiles
  readonly clock: Pick<Clock, 'now'>
  readonly log: Logger
  readonly counters: CertificateCounters
  readonly pollMs?: number
}

/** Rejects with TlsMaterialError when the files cannot be used. */
export async function openCertificates(options: CertificatesOptions): Promise<Certificates> {
  const { files, clock, log, counters, pollMs = TLS_POLL_MS } = options
  const users = new Set<(material: TlsMaterial) => void>()
  let current = await readTlsMaterial(files)
  warnOfTimes(current)
  /** A set that cannot be used, as the last look found it: half a change looks so too, until its other half is written. */
  let suspect: string | null = null
  /** The one that was complained of. */
  let complained: string | null = null
  let work: Promise<unknown> = Promise.resolve()

  function warnOfTimes({ notBefore, expiresAt }: TlsMaterial): void {
    const now = clock.now()
    const times = { file: files.cert.path, notBefore: iso(notBefore), expiresAt: iso(expiresAt) }
    if (expiresAt <= now) log.warn(times, 'the TLS certificate has expired: clients will refuse it')
    else if (expiresAt - now < EXPIRES_SOON_MS) log.warn(times, 'the TLS certificate expires soon')
    if (notBefore > now) log.warn(times, 'the TLS certificate is not valid yet: clients will refuse it')
  }

  function take(material: TlsMaterial): ReloadResult {
    suspect = null
    complained = null
    if (material.digest === current.digest) return 'unchanged'
    current = material
    counters.reloads.changed++
    for (const use of users) use(material)
    log.info({ file: files.cert.path, expiresAt: iso(material.expiresAt) }, 'new TLS certificate taken')
    warnOfTimes(material)
    return 'changed'
  }

  function refuse(error: TlsMaterialError, asked: boolean): ReloadResult {
    const mistake = error.digest ?? error.message
    const patient = !asked && suspect !== mistake
    suspect = mistake
    if (patient || (!asked && complained === mistake)) return 'failed'
    complained = mistake
    counters.reloads.failed++
    log.error(
      { err: error, serving: iso(current.expiresAt) },
      'new TLS files cannot be used; the old ones are served on',
    )
    return 'failed'
  }

  async function look(asked: boolean): Promise<ReloadResult> {
    try {
      return take(await readTlsMaterial(files))
    } catch (error) {
      if (error instanceof TlsMaterialError) return refuse(error, asked)
      log.error({ err: error }, 'looking at the TLS files failed')
      return 'failed'
    }
  }

  function next(asked: boolean): Promise<ReloadResult> {
    const result = work.then(() => look(asked))
    work = result
    return result
  }

  const timer = setInterval(() => void next(false), pollMs)
  timer.unref()
  return {
    get current() {
      return current
    },
    onChange(use) {
      users.add(use)
      return () => void users.delete(use)
    },
    reload: () => next(true),
    stop: () => clearInterval(timer),
  }
}

const iso = (ms: number): string => (Number.isNaN(ms) ? 'unknown' : new Date(ms).toISOString())
