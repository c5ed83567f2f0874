import { createLogger } from '../../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../../core/ports/mailbox.js'
import { openMongoStore } from '../../../core/stores/mongodb/open.js'
import type { OpenForCrash } from '../../conformance/crash/protocol.js'

/** Caps out of the way: the crash suite asks what was kept, not what was refused. `place`: the URL. */
export const openForCrash: OpenForCrash = (place) =>
  openMongoStore({
    url: place,
    limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 1_000_000, inboxMaxBytes: 1 << 30 },
    log: createLogger({ level: 'error' }),
  })
