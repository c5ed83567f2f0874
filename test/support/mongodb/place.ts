// A database of its own for one test, on which stores are opened as several processes would.

import type { Test } from 'tap'
import { createLogger } from '../../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS, type MailboxLimits } from '../../../core/ports/mailbox.js'
import { type MongoStore, type MongoStoreOptions, openMongoStore } from '../../../core/stores/mongodb/open.js'
import type { Databases } from './factory.js'

/** Opens stores on one empty database; they are closed, and it is dropped, with the test. */
export function placeOn(
  t: Test,
  databases: Databases,
  limits: MailboxLimits = DEFAULT_MAILBOX_LIMITS,
): (options?: Partial<MongoStoreOptions>) => Promise<MongoStore> {
  const name = databases.take()
  const stores: MongoStore[] = []
  t.teardown(async () => {
    await Promise.all(stores.map((store) => store.close()))
    await databases.giveBack(name)
  })
  return async (options = {}) => {
    const log = createLogger({ level: 'silent' })
    const store = await openMongoStore({ url: databases.server.url(name), limits, log, ...options })
    stores.push(store)
    return store
  }
}
