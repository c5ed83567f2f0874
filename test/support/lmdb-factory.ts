import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import type { Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { LMDB_FORMAT } from '../../core/stores/lmdb/environment.js'
import { newGeneration } from '../../core/stores/lmdb/generation.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { metaKey, openTables } from '../../core/stores/lmdb/tables.js'
import type { EventStoreFactory, EventStoreHandle, StoreOptions } from '../conformance/factory.js'

/** Real LMDB stores in temporary folders. */
export function lmdbFactory(durability: 'disk' | 'process'): EventStoreFactory {
  return {
    name: `lmdb, durability ${durability}`,
    supports: {
      clock: true,
      generation: true,
      formatVersion: true,
      claimsKept: 'one process serves the store, and its connections end with it',
      wireForgotten: true,
      claimsEnded: true,
      looksByItself: true,
    },
    open: (_t: Test, options: StoreOptions) => openInTemporaryFolder(durability, options),
  }
}

async function openInTemporaryFolder(durability: 'disk' | 'process', options: StoreOptions): Promise<EventStoreHandle> {
  const path = await mkdtemp(join(tmpdir(), 'postrider-lmdb-'))
  const limits = { ...DEFAULT_MAILBOX_LIMITS, ...options.limits }
  const log = createLogger({ level: 'silent' })
  const { clock, uplinkLimits = {}, eventLimits = {} } = options
  const openStore = () =>
    openLmdbStore({
      path,
      durability,
      limits,
      uplinkLimits,
      eventLimits,
      log,
      ...(clock === undefined ? {} : { clock }),
    })
  let store = await openStore()
  return {
    get mailbox() {
      return store.mailbox
    },
    get credentials() {
      return store.credentials
    },
    get sessions() {
      return store.sessions
    },
    get uplink() {
      return store.uplink
    },
    get events() {
      return store.events
    },
    get webhooks() {
      return store.webhooks
    },
    async reopen() {
      await store.close()
      store = await openStore()
    },
    async changeGeneration() {
      await store.close()
      await newGeneration(path)
      store = await openStore()
    },
    async makeNewer() {
      await store.close()
      const format = Buffer.alloc(8)
      format.writeDoubleBE(LMDB_FORMAT + 1)
      const env = open<Buffer, Buffer>({
        path: join(path, 'store.mdb'),
        noSubdir: true,
        encoding: 'binary',
        keyEncoding: 'binary',
        maxDbs: 32,
      })
      await openTables(env).meta.put(metaKey('format'), format)
      await env.close()
    },
    async close() {
      await store.close()
      await rm(path, { recursive: true, force: true })
    },
  }
}
