import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import type { OpenForCrash } from '../conformance/crash/protocol.js'

/** Caps out of the way: the crash suite asks what was kept, not what was refused. */
export const openForCrash: OpenForCrash = (place) =>
  openLmdbStore({
    path: place,
    durability: 'disk',
    limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 1_000_000, inboxMaxBytes: 1 << 30 },
    log: createLogger({ level: 'error' }),
  })
