import t from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'

const MIB = 1 << 20

void t.test('lmdb: a message of 20 MiB is kept, read and found again after a restart', async (t) => {
  const limits = { ...DEFAULT_MAILBOX_LIMITS, inboxMaxBytes: 100 * MIB }
  const options = {
    path: `${t.testdir()}/data`,
    durability: 'disk',
    limits,
    log: createLogger({ level: 'silent' }),
  } as const
  const payload = Buffer.alloc(20 * MIB, 'x')
  const first = await openLmdbStore(options)
  await first.mailbox.append([
    { device: 'd', payload, contentType: 'text/plain', attributes: null, dedupId: 'a', ttl: 60, priority: 'normal' },
  ])
  await first.close()
  const second = await openLmdbStore(options)
  t.teardown(() => second.close())
  t.match(await second.mailbox.state('d', 1, null), { kind: 'known', state: 'queued' })
  t.match(await second.mailbox.info('d'), { pending: 1, oldestPendingAt: Number })
  const peeked = await second.mailbox.peek('d', { after: 0, limit: 1, maxBytes: 1 })
  t.ok(peeked?.messages[0] !== undefined && payload.equals(peeked.messages[0].message.payload))
})
