// The embedded store's engine and mailbox on a real LMDB file, without timers: nothing happens but what a test does. Commits
// fail on demand, through a condition that the file does not meet; a crash is a copy of the file, opened again.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import type { Test } from 'tap'
import { createLogger } from '../../core/log.js'
import type { NewMessage } from '../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../core/ports/mailbox.js'
import { DEFAULT_UPLINK_LIMITS } from '../../core/ports/uplink.js'
import { Engine } from '../../core/stores/lmdb/engine.js'

import { LmdbMailbox } from '../../core/stores/lmdb/lmdb-mailbox.js'
import { LmdbUplink } from '../../core/stores/lmdb/lmdb-uplink.js'
import { openTables } from '../../core/stores/lmdb/tables.js'
import { FakeClock } from './fake-clock.js'

const FILE = 'store.mdb'
const KEY = Buffer.from('group')
/** No group ever has this number. */
const UNMET = 2 ** 45

export interface LmdbRigOptions {
  readonly limits?: Partial<MailboxLimits>
  readonly clock?: FakeClock
}

/** How commits end. */
interface Commits {
  /** Asked for each commit that is handed over; true: it is refused. */
  fail: () => boolean
  /** Handed over so far. */
  count: number
}

export interface LmdbRig {
  readonly clock: FakeClock
  readonly engine: Engine
  readonly mailbox: LmdbMailbox
  readonly uplink: LmdbUplink
  readonly commits: Commits
  /** The store that a sudden end of the process leaves at this moment. By default with the same limits. */
  crash(limits?: Partial<MailboxLimits>): LmdbRig
  /** Ends the store in order, and opens its file again. */
  restart(limits?: Partial<MailboxLimits>): Promise<LmdbRig>
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
  const commits: Commits = { fail: () => false, count: 0 }
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

  const engine = new Engine({
    folder,
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
    copyFileSync(join(folder, FILE), join(to, FILE))
    return openFolder(t, to, { clock, limits: limits ?? options.limits ?? {} })
  }
  return {
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
