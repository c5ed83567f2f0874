import { mkdirSync } from 'node:fs'
import t from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore, type LmdbStore } from '../../core/stores/lmdb/open.js'
import { copyLmdbStore } from '../support/lmdb-copy.js'

const log = createLogger({ level: 'silent' })
const open = (path: string) => openLmdbStore({ path, durability: 'disk', limits: DEFAULT_MAILBOX_LIMITS, log })

async function push(store: LmdbStore, text: string): Promise<void> {
  await store.mailbox.append([
    {
      device: 'd',
      payload: Buffer.from(text),
      contentType: 'text/plain',
      attributes: null,
      dedupId: null,
      ttl: null,
      priority: 'normal',
    },
  ])
}

/** Which of the pending messages would go out with DUP. */
async function marks(store: LmdbStore): Promise<readonly boolean[]> {
  const granted = await store.mailbox.claim('d', { node: 'n', claimId: 'c' }, { force: true })
  if (!granted.ok) throw new Error('a forced claim was refused')
  const page = await store.mailbox.read({
    device: 'd',
    claimId: 'c',
    position: granted.position,
    maxMessages: 10,
    maxBytes: 1 << 20,
  })
  if (page.kind !== 'page') throw new Error(page.kind)
  return page.entries.map((entry) => entry.kind === 'message' && entry.redelivered)
}

void t.test('lmdb: what was pending at an unclean stop counts as sent before, what comes later does not', async (t) => {
  const folder = t.testdir()
  const first = await open(`${folder}/first`)
  await push(first, 'one')
  mkdirSync(`${folder}/killed`)
  copyLmdbStore(`${folder}/first`, `${folder}/killed`)
  await first.close()
  const killed = await open(`${folder}/killed`)
  t.teardown(() => killed.close())
  await push(killed, 'two')
  t.same(await marks(killed), [true, false], 'after an unclean stop')
  const clean = await open(`${folder}/first`)
  t.teardown(() => clean.close())
  await push(clean, 'two')
  t.same(await marks(clean), [false, false], 'after a clean one')
})
