// Room for new messages. A write that meets a full disk can take the process with it (seen in the database's native code), and
// acks and deletions need a little room to make more: so new messages are refused while some is left.
//
// The file never shrinks; what is deleted leaves free pages inside. Room is what the file system has and what the file has.

import { statfsSync } from 'node:fs'
import type { Database } from 'lmdb'
import type { Tables } from './tables.js'

const MIB = 1 << 20
/** Kept free on the file system: 5 % of it, 1–64 MiB. */
const RESERVE_PART = 0.05
const RESERVE_MIN = MIB
const RESERVE_MAX = 64 * MIB
/** What `n` bytes of new messages may take: the journal, their own places, pages that are copied on the way. */
const GROWTH = 4
/** What `n` bytes of the journal may take when they are copied. */
const OWED = 2
/** For files of the journal, as long as there is plenty: two of them, one in the making; and when no more are made. */
const JOURNAL_FILES = 40 * MIB
const JOURNAL_FILES_LEAST = 16 * MIB
/** The file system is asked again after so many milliseconds or bytes. */
const ASK_AGAIN_MS = 50
const ASK_AGAIN_BYTES = MIB / 4

interface Usage {
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

export class Space {
  readonly #folder: string
  readonly #tables: Tables
  readonly #monotonic: () => number
  readonly #owed: () => number
  #askedAt = -Infinity
  #bytesSince = 0
  #short = false
  #tight = false
  #roomy = false

  /** `owed`: bytes in the journal, which may all have to be copied to places of their own. */
  constructor(folder: string, tables: Tables, owed: () => number, monotonic: () => number) {
    this.#owed = owed
    this.#folder = folder
    this.#tables = tables
    this.#monotonic = monotonic
  }

  /** So little room, as of the last look, that not even what is in the journal should be copied. */
  get tight(): boolean {
    return this.#tight
  }

  /** So much room, as of the last look, that nothing needs to be spared. */
  get roomy(): boolean {
    return this.#roomy
  }

  /** May messages of `bytes` in sum be added? */
  mayGrow(bytes: number): boolean {
    this.#bytesSince += bytes
    const now = this.#monotonic()
    if (this.#bytesSince >= ASK_AGAIN_BYTES || Math.abs(now - this.#askedAt) >= ASK_AGAIN_MS) {
      this.#look(bytes)
      this.#askedAt = now
      this.#bytesSince = 0
    }
    return !this.#short
  }

  #look(bytes: number): void {
    const { bavail, blocks, bsize } = statfsSync(this.#folder)
    const reserve = Math.min(RESERVE_MAX, Math.max(RESERVE_MIN, blocks * bsize * RESERVE_PART))
    const outside = bavail * bsize
    const needed = bytes * GROWTH + this.#owed() * OWED
    this.#short = this.#tight = false
    this.#roomy = outside >= 2 * reserve + needed + (this.#roomy ? JOURNAL_FILES_LEAST : JOURNAL_FILES)
    if (outside >= reserve + needed) return
    const inside = this.#inside()
    // Free pages inside lie scattered: what needs a run of them takes some of the reserve.
    this.#tight = outside < reserve / 2 && inside < reserve
    this.#short = outside < reserve / 4 || outside + inside < 2 * reserve + needed
  }

  /** For metrics. */
  usage(): { readonly fileBytes: number; readonly diskFreeBytes: number } {
    const { bavail, bsize } = statfsSync(this.#folder)
    const { lastPageNumber, pageSize } = statsOf(this.#tables.env)
    return { fileBytes: (lastPageNumber + 1) * pageSize, diskFreeBytes: bavail * bsize }
  }

  /** Bytes of free pages inside the file. */
  #inside(): number {
    const { env, dedup, uplinkDedup, ...rest } = this.#tables
    const whole = statsOf(env)
    let used = pages(whole.root) + pages(whole.free) + 2
    for (const table of [...Object.values(rest), ...dedup, ...uplinkDedup]) used += pages(statsOf(table))
    return Math.max(0, whole.lastPageNumber + 1 - used) * whole.pageSize
  }
}

const pages = (usage: Usage): number => usage.treeBranchPageCount + usage.treeLeafPageCount + usage.overflowPages

/** `getStats` is documented, and declared without the shape of its answer. */
function statsOf(
  table: Database<Buffer, Buffer>,
): Usage & { readonly root: Usage; readonly free: Usage; readonly lastPageNumber: number; readonly pageSize: number } {
  const stats: unknown = table.getStats()
  if (isStats(stats)) return stats
  throw new TypeError('the database describes itself in an unknown way')
}

function isStats(value: unknown): value is ReturnType<typeof statsOf> {
  if (typeof value !== 'object' || value === null || !('root' in value) || !('free' in value)) return false
  return 'lastPageNumber' in value && 'overflowPages' in value && 'treeLeafPageCount' in value
}
