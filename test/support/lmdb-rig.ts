// The embedded store's engine and mailbox on a real LMDB file, without timers: nothing happens but what a test does. Commits
// fail on demand, through a condition that LMDB's file does not meet or a journal file that takes half of a record; a crash is a
// copy of the files, opened again.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import type { Test } from 'tap'
import { createLogger } from '../../core/log.js'
import type { NewMessage } from '../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../core/ports/mailbox.js'
import { DEFAULT_UPLINK_LIMITS } from '../../core/ports/uplink.js'
import { Engine } from '../../core/stores/lmdb/engine.js'
import { type JournalDisk, REAL_DISK } from '../../core/stores/lmdb/journal-file.js'
import { LmdbMailbox } from '../../core/stores/lmdb/lmdb-mailbox.js'
import { LmdbUplink } from '../../core/stores/lmdb/lmdb-uplink.js'
import { openTables } from '../../core/stores/lmdb/tables.js'
import { FakeClock } from './fake-clock.js'
import { copyLmdbStore } from './lmdb-copy.js'

const FILE = 'store.mdb'
const KEY = Buffer.from('group')
/** No group ever has this number. */
const UNMET = 2 ** 45

export interface LmdbRigOptions {
  readonly limits?: Partial<MailboxLimits>
  readonly clock?: FakeClock
  /** Changes may go into journal files. Default false. */
  readonly files?: boolean
}

/** How commits end. */
interface Commits {
  /** Asked for each commit that is handed over; true: it is refused. */
  fail: () => boolean
  /** Handed over so far. */
  count: number
  /** Of them, to journal files. */
  filed: number
  /** What a record of a journal file waits for before it is written. */
  hold: ((fd: number) => Promise<void>) | null
}

export interface LmdbRig {
  readonly folder: string
  readonly clock: FakeClock
  readonly engine: Engine
  readonly mailbox: LmdbMailbox
  readonly uplink: LmdbUplink
  readonly commits: Commits
  /** The store that a sudden end of the process leaves at this moment. By default with the same limits. */
  crash(limits?: Partial<MailboxLimits>): LmdbRig
  /** Ends the store in order, and opens its file again. */
  restart(limits?: Partial<MailboxLimits>): Promise<LmdbRig>
  /** Closes LMDB's file as it is. Idempotent. */
  close(): Promise<void>
  /** Closes the file as it is, and removes it. Idempotent; also done at the end of the test. */
  drop(): Promise<void>
}

export function openLmdbRig(t: Test, options: LmdbRigOptions = {}): LmdbRig {
  return openFolder(t, newFolder(), options)
}

function openFolder(t: Test, folder: string, options: LmdbRigOptions): LmdbRig {
  const clock = options.clock ?? new FakeClock()
  const env = open<Buffer, Buffer>({
    path: join(folder, FILE),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 32,
    eventTurnBatching: false,
    overlappingSync: false,
  })
  const tables = openTables(env)
  const commits: Commits = { fail: () => false, count: 0, filed: 0, hold: null }
  const refused = (): boolean => {
    commits.count++
    return commits.fail()
  }
  // The two ways in which a group is handed over.
  const { sequence } = tables
  const ifVersion = sequence.ifVersion.bind(sequence)
  const batch = env.batch.bind(env)
  sequence.ifVersion = (key, version, write) => ifVersion(key, refused() ? UNMET : version, write)
  env.batch = (write) => (refused() ? ifVersion(KEY, UNMET, write) : batch(write))
  const files = options.files ?? false
  const journalDisk: JournalDisk = {
    write: async (fd, pieces, position) => {
      commits.filed++
      await commits.hold?.(fd)
      if (!refused()) return REAL_DISK.write(fd, pieces, position)
      const half = Buffer.concat(pieces)
      return REAL_DISK.write(fd, [half.subarray(0, half.length / 2)], position)
    },
  }

  const engine = new Engine({
    folder,
    journalFiles: files,
    journalDisk,
    tables,
    limits: { ...DEFAULT_MAILBOX_LIMITS, ...options.limits },
    clock,
    log: createLogger({ level: 'silent' }),
    generation: 'generation',
  })
  let closed: Promise<void> | null = null
  const close = (): Promise<void> => (closed ??= env.close())
  let dropped: Promise<void> | null = null
  const drop = (): Promise<void> => (dropped ??= close().then(() => rmSync(folder, { recursive: true, force: true })))
  t.teardown(drop)

  const copy = (limits: Partial<MailboxLimits> | undefined): LmdbRig => {
    const to = newFolder()
    copyLmdbStore(folder, to)
    return openFolder(t, to, { clock, files, limits: limits ?? options.limits ?? {} })
  }
  return {
    folder,
    clock,
    engine,
    mailbox: new LmdbMailbox(engine),
    uplink: new LmdbUplink(engine, DEFAULT_UPLINK_LIMITS),
    commits,
    crash: copy,
    restart: async (limits) => {
      await engine.close()
      await close()
      return copy(limits)
    },
    close,
    drop,
  }
}

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'postrider-lmdb-'))

export function newMessage(device: string, dedupId: string | null, over: Partial<NewMessage> = {}): NewMessage {
  return {
    device,
    payload: Buffer.from(dedupId ?? 'payload'),
    contentType: 'text/plain',
    attributes: null,
    dedupId,
    ttl: null,
    priority: 'normal',
    ...over,
  }
}

/** All that was handed over in this turn of the event loop is on its way. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
