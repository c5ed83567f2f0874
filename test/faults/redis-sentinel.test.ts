// The master dies, Sentinel promotes its replica: the store finds it by itself, and what was lost is told by another epoch.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { ack, eventually, message, own, push } from '../conformance/messages.js'
import { freePort, noRedis, REDIS_SERVER, type RedisServer, startRedis } from '../support/redis/server.js'

async function startSentinel(t: Test, master: RedisServer): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-sentinel-'))
  const port = await freePort()
  const file = join(folder, 'sentinel.conf')
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `logfile ${join(folder, 'log')}`,
      `sentinel monitor inboxes 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds inboxes 500',
      'sentinel failover-timeout inboxes 3000',
      '',
    ].join('\n'),
  )
  const child = spawn(REDIS_SERVER, [file, '--sentinel'], { stdio: 'ignore' })
  t.teardown(async () => {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  return port
}

t.test('redis sentinel: a promoted replica is found, and begins another epoch', { skip: noRedis }, async (t) => {
  const master = await startRedis()
  const replica = await startRedis(['--replicaof', `127.0.0.1 ${master.port}`])
  t.teardown(async () => {
    await replica.stop()
    await master.stop()
  })
  await eventually(
    async () => ((await replica.admin.info('replication')).includes('master_link_status:up') ? true : undefined),
    10_000,
    'the replica follows',
  )
  const port = await startSentinel(t, master)
  const store = await eventually(
    async () =>
      openRedisStore({
        url: `redis+sentinel://127.0.0.1:${port}/inboxes`,
        limits: DEFAULT_MAILBOX_LIMITS,
        log: createLogger({ level: 'silent' }),
      }).catch(() => undefined),
    10_000,
    'the sentinel names the master',
  )
  t.teardown(() => store.close())
  const { mailbox } = store
  const { generation } = store
  await own(mailbox, 'd', 'c')
  const first = await push(mailbox, 'd', { dedupId: 'x' })
  await eventually(async () => ((await replica.admin.llen('pr:{d}:m')) === 1 ? true : undefined))
  // The sentinel looks for replicas every ten seconds.
  const known = async (): Promise<boolean> => (await master.admin.info('replication')).includes('state=online')
  await eventually(async () => ((await known()) ? true : undefined))
  await new Promise((resolve) => setTimeout(resolve, 1_500))

  await master.kill('SIGKILL')
  const again = await eventually(
    async () => {
      const from = performance.now()
      const [result] = await mailbox.append([message('d')])
      if (performance.now() - from > 2_000) t.fail('answered later than 2 s')
      return result?.ok === true ? result : undefined
    },
    30_000,
    'the promoted replica serves',
  )
  t.equal(again.seq, 2)
  t.not(again.epoch, first.epoch)
  t.not(store.generation, generation)
  t.match(await push(mailbox, 'd', { dedupId: 'x' }), { duplicate: true, seq: 1, epoch: first.epoch })
  t.match(await ack(mailbox, 'd', first), { counted: true, cursor: 1, pending: 1 })
  t.equal((await mailbox.info('d'))?.claim?.claimId, 'c', 'claims go over')
})
