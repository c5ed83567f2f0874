// A data folder as one side of a migration.

import { resolve } from 'node:path'
import type { Logger } from '../../log.js'
import { systemClock } from '../../clock.js'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../ports/mailbox.js'
import type { UplinkLimits } from '../../ports/uplink.js'
import {
  type CopiedDedup,
  type DeviceCopy,
  layEntries,
  MIGRATED_GENERATION,
  nextExpiryOf,
  receiptsOf,
} from '../../migration/device-copy.js'
import { notEmpty, unfinished } from '../../migration/refusals.js'
import type { CopiedPorts, Revocation, StoreCopy } from '../../migration/store-copy.js'
import { ByteReader, ByteWriter } from './bytes.js'
import { DedupIndex, firstWindow } from './dedup-index.js'
import { Directory } from './directory.js'
import { readNumber, writeNumber } from './numbers.js'
import { checkFormat, openEnvironment, requireStore } from './environment.js'
import { InboxState } from './inbox-state.js'
import { takeLock } from './lock.js'
import { createLogReader } from './log-reader.js'
import { Materializer, MATERIALIZER_DEFAULTS } from './materializer.js'
import { writeEntry } from './message-codec.js'
import { openLmdbStore } from './open.js'
import { encodeRecord } from './record-codec.js'
import { recover } from './recovery.js'
import { storedGroups } from './stored-journal.js'
import { deviceKey, messageKey, metaKey, numberKey, openTables, type Tables } from './tables.js'

export interface CopyOptions {
  readonly limits: MailboxLimits
  readonly uplinkLimits: UplinkLimits
  readonly log: Logger
}

/** Whoever fills the folder writes it before anything else. */
const MIGRATION = 'migration'
const FORMAT = 1

/** `exists`: the folder must have a store. Rejects with StartupError when there is none, or a process serves it. */
export async function openLmdbCopy(path: string, options: CopyOptions, exists: boolean): Promise<StoreCopy> {
  const folder = resolve(path)
  if (exists) requireStore(folder)
  const copy = new LmdbCopy(folder, options)
  await copy.open()
  return copy
}

class LmdbCopy implements StoreCopy {
  readonly where: string
  readonly #options: CopyOptions
  #tables: Tables | null = null
  #release: () => Promise<void> = async () => undefined

  constructor(folder: string, options: CopyOptions) {
    this.where = folder
    this.#options = options
  }

  async open(): Promise<void> {
    const env = openEnvironment(this.where, 'disk')
    const tables = openTables(env)
    try {
      checkFormat(this.where, tables, true)
      const lock = await takeLock(this.where, tables)
      this.#tables = tables
      this.#release = async () => {
        await env.close()
        await lock.release()
      }
    } catch (error) {
      await env.close()
      throw error
    }
  }

  async close(): Promise<void> {
    this.#tables = null
    const release = this.#release
    this.#release = async () => undefined
    await release()
  }

  get #open(): Tables {
    if (this.#tables === null) throw new TypeError('the store is not open')
    return this.#tables
  }

  // ---- reading

  async *devices(): AsyncGenerator<DeviceCopy> {
    const tables = this.#open
    if (readNumber(tables, MIGRATION) === 1) throw unfinished(this.where)
    // What the journal holds and the records do not is applied in memory alone.
    const directory = new Directory(tables)
    const window = firstWindow(systemClock.now(), this.#options.limits.dedupWindowSeconds * 1000)
    const dedup = new DedupIndex(tables.dedup, this.#options.limits.dedupWindowSeconds * 1000, window)
    recover(
      storedGroups(this.where, tables),
      directory,
      new Materializer(tables, directory, dedup, null, MATERIALIZER_DEFAULTS),
      0,
    )
    const disk = createLogReader(tables)
    for (const device of directory.ids(null)) {
      const state = directory.get(device)
      if (state === null) continue
      const { createdAt, usedAt, lastSeenAt, subscription, epochs, head, headCumulative, cursor, cursorCumulative } =
        state
      const { sent, received, pending, pendingBytes, toldOfflineAt } = state
      const exceptions = state.exceptions.map((range) => ({ ...range, onWire: false }))
      const record = {
        device,
        createdAt,
        usedAt,
        lastSeenAt,
        subscription,
        epochs,
        head,
        headCumulative,
        cursor,
        cursorCumulative,
      }
      yield {
        ...record,
        sent,
        received,
        pending,
        pendingBytes,
        toldOfflineAt,
        floor: state.exceptionsFloor,
        exceptions,
        entries: layEntries({ ...record, exceptions }, (seq) => state.entry(seq, disk)?.message ?? null),
        dedups: dedupsOf(tables, state),
      }
      await Promise.resolve()
    }
  }

  async *revocations(): AsyncGenerator<Revocation> {
    for (const { key, value } of this.#open.revocations.getRange({})) {
      const input = new ByteReader(Buffer.from(value))
      if (input.u8() !== FORMAT) throw new RangeError('a revocation has an unknown format')
      yield { device: key.toString('utf8'), at: input.u48(), keepUntil: input.u48() }
    }
    await Promise.resolve()
  }

  // ---- writing

  async begin(): Promise<boolean> {
    const tables = this.#open
    if (readNumber(tables, MIGRATION) === 1) return true
    const used = [tables.devices, tables.keys, tables.uplink, tables.webhooks].some(
      (table) => table.getKeysCount({ limit: 1 }) > 0,
    )
    if (used) throw notEmpty(this.where)
    tables.env.transactionSync(() => writeNumber(tables, MIGRATION, 1))
    return Promise.resolve(false)
  }

  async put(copy: DeviceCopy): Promise<void> {
    const tables = this.#open
    await tables.env.transaction(() => this.#put(tables, copy))
    await tables.env.flushed
  }

  /** In a transaction, under a number of its own: what an earlier migration brought of the device is not referred to any more. */
  #put(tables: Tables, copy: DeviceCopy): void {
    const number = readNumber(tables, 'next-number') ?? 1
    writeNumber(tables, 'next-number', number + 1)
    const before = tables.devices.get(deviceKey(copy.device))
    if (before !== undefined) {
      const input = new ByteReader(before)
      input.u8()
      input.u48()
      void tables.garbage.put(numberKey(input.u48()), Buffer.alloc(0))
    }
    const state = stateOf(copy, number)
    let cumulative = copy.cursorCumulative
    for (const { seq, size, message } of copy.entries) {
      cumulative += size
      if (message === null) continue
      const out = new ByteWriter(256)
      writeEntry(out, { message, size, cumulative })
      void tables.messages.put(messageKey(number, seq), out.copy())
    }
    const windowMs = this.#options.limits.dedupWindowSeconds * 1000
    const index = new DedupIndex(tables.dedup, windowMs, firstWindow(systemClock.now(), windowMs))
    const lives = new Map(copy.entries.map(({ seq, expiresAt }) => [seq, expiresAt]))
    for (const entry of copy.dedups) {
      const expiresAt = lives.get(entry.seq) ?? 0
      index.write(state, { ...entry, expiresAt: expiresAt === 0 ? null : expiresAt })
    }
    void tables.devices.put(deviceKey(copy.device), encodeRecord(new ByteWriter(256), state, 0))
  }

  async finish(): Promise<void> {
    const tables = this.#open
    tables.env.transactionSync(() => {
      tables.meta.removeSync(metaKey(MIGRATION))
      // Nothing was on a wire that was not noted.
      tables.meta.putSync(metaKey('clean'), Buffer.from('1'))
    })
    await tables.env.flushed
  }

  async ports(): Promise<CopiedPorts> {
    await this.close()
    const store = await openLmdbStore({
      path: this.where,
      durability: 'disk',
      limits: { ...DEFAULT_MAILBOX_LIMITS, ...this.#options.limits },
      uplinkLimits: this.#options.uplinkLimits,
      log: this.#options.log,
      filling: true,
    })
    const { credentials, uplink, webhooks, events } = store
    const close = async (): Promise<void> => {
      await store.close()
      await this.open()
    }
    return { credentials, uplink, webhooks, events, close }
  }
}

function stateOf(copy: DeviceCopy, number: number): InboxState {
  const state = new InboxState(copy.device, number, copy.createdAt, '', MIGRATED_GENERATION)
  state.usedAt = copy.usedAt
  state.lastSeenAt = copy.lastSeenAt
  state.epochs = copy.epochs
  state.head = copy.head
  state.headCumulative = copy.headCumulative
  state.cursor = copy.cursor
  state.cursorCumulative = copy.cursorCumulative
  state.sent = copy.sent
  state.received = copy.received
  state.exceptions = copy.exceptions
  state.exceptionsFloor = copy.floor
  state.pending = copy.pending
  state.pendingBytes = copy.pendingBytes
  state.subscription = copy.subscription
  state.nextExpiry = nextExpiryOf(copy.entries) || Infinity
  state.receiptUpTo = receiptsOf(copy.entries).at(-1) ?? 0
  state.toldOfflineAt = copy.toldOfflineAt
  state.diskFloor = copy.cursor
  return state
}

function dedupsOf(tables: Tables, state: InboxState): readonly CopiedDedup[] {
  const found = new Map<string, CopiedDedup>()
  const keep = (entry: CopiedDedup): void => {
    const key = entry.idHash.toString('hex')
    if ((found.get(key)?.at ?? -1) < entry.at) found.set(key, entry)
  }
  for (const table of tables.dedup) {
    for (const { key, value } of table.getRange({ start: numberKey(state.number), end: numberKey(state.number + 1) })) {
      const input = new ByteReader(Buffer.from(value))
      if (input.u8() !== FORMAT) throw new RangeError('a dedup entry has an unknown format')
      const bodyHash = Buffer.from(input.bytes(16))
      const seq = input.u48()
      const at = input.u48()
      input.u48()
      keep({ idHash: Buffer.from(key.subarray(6)), bodyHash, seq, at, epoch: input.text() })
    }
  }
  for (const { idHash, bodyHash, seq, at, epoch } of state.recent?.values() ?? [])
    keep({ idHash: Buffer.from(idHash), bodyHash: Buffer.from(bodyHash), seq, at, epoch })
  return [...found.values()].toSorted((a, b) => a.seq - b.seq)
}
