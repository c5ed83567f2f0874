import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Clock, systemClock } from '../../clock.js'
import type { Logger } from '../../log.js'
import type { Credentials } from '../../ports/credentials.js'
import { DEFAULT_EVENT_LIMITS, type EventLimits, type EventLog } from '../../ports/event-log.js'
import type { Mailbox, MailboxLimits } from '../../ports/mailbox.js'
import { DEFAULT_UPLINK_LIMITS, type Uplink, type UplinkLimits } from '../../ports/uplink.js'
import type { SessionStore } from '../../ports/session-store.js'
import type { WebhookStore } from '../../ports/webhook-store.js'
import { randomId } from '../../random-id.js'
import { Engine } from './engine.js'
import { checkFormat, LMDB_FORMAT, openEnvironment } from './environment.js'
import type { LmdbCounters, LmdbUsage } from '../../metrics/lmdb-counters.js'
import { LmdbCredentials } from './lmdb-credentials.js'
import { LmdbEvents } from './lmdb-events.js'
import { LmdbMailbox } from './lmdb-mailbox.js'
import { LmdbUplink } from './lmdb-uplink.js'
import { LmdbSessions } from './lmdb-sessions.js'
import { LmdbWebhooks } from './lmdb-webhooks.js'
import { takeLock } from './lock.js'
import { startMaintenance } from './maintenance.js'
import { metaKey, openTables, type Tables } from './tables.js'

export interface LmdbStoreOptions {
  /** The data folder; made (mode 0700) when it does not exist. */
  readonly path: string
  /**
   * `disk`: a promise of the store resolves when the change is flushed to the disk; nothing unflushed is ever seen.
   * `process`: when it is in the operating system's hands; an end of the machine may lose the last changes, which is then
   * told by a new generation.
   */
  readonly durability: 'disk' | 'process'
  readonly limits: MailboxLimits
  readonly uplinkLimits?: Partial<UplinkLimits>
  readonly eventLimits?: Partial<EventLimits>
  readonly clock?: Clock
  readonly log: Logger
  /** Default: new ones, out of sight. */
  readonly counters?: LmdbCounters
  /** A migration into it is under way. */
  readonly filling?: boolean
}

export interface LmdbStore {
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly events: EventLog
  readonly webhooks: WebhookStore
  /** Ordinary pub/sub. */
  readonly sessions: SessionStore
  readonly generation: string
  /** What is there now; asks the file system. */
  usage(): LmdbUsage
  /** Writes everything out, releases the folder. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens the embedded store. Rejects with StartupError when the folder cannot be written, is served by another process, was
 * written by a newer version, or is damaged.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<LmdbStore> {
  const path = resolve(options.path)
  const env = openEnvironment(path, options.durability)
  try {
    const tables = openTables(env)
    checkFormat(path, tables, options.filling ?? false)
    const lock = await takeLock(path, tables)
    try {
      checkFormat(path, tables, options.filling ?? false)
      const { generation, clean } = beginGeneration(tables, options.durability)
      const clock = options.clock ?? systemClock
      const engine = new Engine({
        folder: path,
        tables,
        limits: options.limits,
        clock,
        log: options.log,
        generation,
        journalFiles: options.durability === 'disk',
        ...(options.counters === undefined ? {} : { counters: options.counters }),
        // What was on the wire in the last second before an unclean stop is not known: all that is old may have been.
        sentBefore: clean ? 0 : clock.now(),
      })
      const mailbox = new LmdbMailbox(engine)
      const uplink = new LmdbUplink(engine, { ...DEFAULT_UPLINK_LIMITS, ...options.uplinkLimits })
      const events = new LmdbEvents(engine, { ...DEFAULT_EVENT_LIMITS, ...options.eventLimits })
      const webhooks = new LmdbWebhooks(engine)
      const maintenance = startMaintenance(engine, uplink, events)
      const credentials = new LmdbCredentials(engine)
      const sessions = new LmdbSessions(engine)
      let closing: Promise<void> | null = null
      const close = async (): Promise<void> => {
        maintenance.stop()
        await mailbox.close()
        await credentials.close()
        await uplink.close()
        await webhooks.close()
        await events.close()
        await sessions.close()
        await engine.close()
        markClean(tables, options.log)
        await env.close()
        await lock.release()
      }
      const usage = (): LmdbUsage => engine.usage()
      return {
        mailbox,
        credentials,
        uplink,
        events,
        webhooks,
        sessions,
        generation,
        usage,
        close: () => (closing ??= close()),
      }
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    await env.close()
    throw error
  }
}

/** On a full disk the mark cannot be made; the next start then treats the stop as unclean, which is safe. */
function markClean(tables: Tables, log: Logger): void {
  try {
    tables.meta.putSync(metaKey('clean'), Buffer.from('1'))
  } catch (error) {
    log.warn({ err: error }, 'store_clean_mark_failed')
  }
}

/** The generation of this start; a new one when the last stop may have lost flushed changes. */
function beginGeneration(
  tables: Tables,
  durability: 'disk' | 'process',
): { readonly generation: string; readonly clean: boolean } {
  const text = (name: string): string | null => tables.meta.get(metaKey(name))?.toString('utf8') ?? null
  const boot = bootId()
  const clean = text('clean') !== null
  const lostChanges = !clean && text('durability') === 'process' && text('boot') !== boot
  const generation = lostChanges ? randomId() : (text('generation') ?? randomId())
  const format = Buffer.alloc(8)
  format.writeDoubleBE(LMDB_FORMAT)
  tables.env.transactionSync(() => {
    tables.meta.putSync(metaKey('format'), format)
    tables.meta.putSync(metaKey('generation'), Buffer.from(generation))
    tables.meta.putSync(metaKey('durability'), Buffer.from(durability))
    tables.meta.putSync(metaKey('boot'), Buffer.from(boot))
    tables.meta.removeSync(metaKey('clean'))
  })
  return { generation, clean }
}

/** Changes with every start of the machine; where the system tells none, with every start of the process. */
function bootId(): string {
  const file = '/proc/sys/kernel/random/boot_id'
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : randomId()
}
