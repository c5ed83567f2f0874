// A Redis store is backed up by Redis' own file and put back as docs/operations.md says; what devices and backends see then.

import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { restoreScenario } from '../support/backup/restore-scenario.js'
import { runCommand } from '../support/command.js'
import { startCluster } from '../support/redis/cluster.js'
import { noRedis, type RedisServer, startRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const skip = { skip: noRedis }
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}

const infoOf = async (redis: RedisServer, field: string): Promise<string> =>
  new RegExp(`^${field}:(.*)\r$`, 'm').exec(await redis.admin.info())?.[1] ?? ''

/** BGSAVE, and the file once it is complete. */
async function saveTo(redis: RedisServer, file: string): Promise<void> {
  await redis.admin.bgsave()
  await until('the file to be written', async () => (await infoOf(redis, 'rdb_bgsave_in_progress')) === '0', 60_000)
  if ((await infoOf(redis, 'rdb_last_bgsave_status')) !== 'ok') throw new Error('BGSAVE failed')
  await copyFile(join(redis.folder, 'dump.rdb'), file)
}

/** A Redis that starts on the file, and then has an append-only file again, as a store needs it. */
async function startOn(t: Test, file: string): Promise<RedisServer> {
  const redis = await startRedis(['--appendonly', 'no'])
  t.teardown(() => redis.stop())
  await redis.kill()
  await copyFile(file, join(redis.folder, 'dump.rdb'))
  await redis.start()
  await redis.admin.config('SET', 'appendonly', 'yes')
  await until(
    'the append-only file',
    async () =>
      (await infoOf(redis, 'aof_rewrite_in_progress')) === '0' &&
      (await infoOf(redis, 'aof_rewrite_scheduled')) === '0' &&
      (await infoOf(redis, 'aof_last_bgrewrite_status')) === 'ok',
    60_000,
  )
  return redis
}

async function folderOf(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-backup-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

void t.test('backup redis: a saved file, put into a new Redis: nothing is mistaken', skip, async (t) => {
  const file = join(await folderOf(t), 'backup.rdb')
  const first = await startRedis()
  t.teardown(() => first.stop())
  const place = { now: first }
  await restoreScenario(t, {
    env: SECRETS,
    flags: () => ['--store', place.now.url],
    folder: () => undefined,
    backUp: () => saveTo(first, file),
    // A Redis that was started is another generation by itself.
    restore: async () => {
      await first.stop()
      place.now = await startOn(t, file)
    },
  })
})

void t.test(
  'backup redis: put into the Redis that runs on, and generation new: nothing is mistaken',
  skip,
  async (t) => {
    const file = join(await folderOf(t), 'backup.rdb')
    const redis = await startRedis(['--appendonly', 'no'])
    t.teardown(() => redis.stop())
    await restoreScenario(t, {
      env: SECRETS,
      flags: () => ['--store', redis.url, '--redis-no-aof'],
      folder: () => undefined,
      backUp: () => saveTo(redis, file),
      restore: async () => {
        const instance = await infoOf(redis, 'run_id')
        await copyFile(file, join(redis.folder, 'dump.rdb'))
        await redis.admin.call('debug', 'reload', 'nosave')
        t.equal(await infoOf(redis, 'run_id'), instance, 'the same Redis answers')
        // The node that was killed still counts as alive, in what was restored too.
        await until(
          'the old node to be forgotten',
          async () => {
            const done = await runCommand(t, ['generation', 'new', '--store', redis.url])
            if (done.code !== 0) t.match(done, { code: 75, stderr: /1 nodes serve it .*stop all of them first/ })
            return done.code === 0
          },
          60_000,
        )
      },
    })
  },
)

void t.test('generation redis: refused while nodes serve it, and where no store is', skip, async (t) => {
  const redis = await startRedis()
  const bus = await startRedis()
  t.teardown(() => Promise.all([redis.stop(), bus.stop()]))
  const renew = (...flags: string[]) => runCommand(t, ['generation', 'new', '--store', redis.url, ...flags])
  t.match(await renew(), { code: 78, stderr: /no Postrider has written there; is it the right server/ })
  const server = await TestServer.start(t, {
    env: SECRETS,
    flags: ['--store', redis.url, '--bus', bus.url],
  })
  const epochOf = async () => {
    const { body } = await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'x' })
    return typeof body === 'object' && body !== null && 'epoch' in body ? String(body.epoch) : ''
  }
  const first = await epochOf()
  t.match(await renew('--bus', bus.url), { code: 75, stderr: /nodes serve it .*stop all of them first/ })
  t.equal(await epochOf(), first)
  await server.stop()
  await server.restart()
  t.equal(await epochOf(), first, 'a restart of the node is no new generation')
  await server.stop()
  t.match(await renew('--bus', bus.url), { code: 0, stderr: /redis:\/\/127\.0\.0\.1:\d+ is a new generation/ })
  await server.restart()
  const second = await epochOf()
  t.not(second, first, 'the next message begins an epoch')
  t.equal(await epochOf(), second, 'and those after it belong to it')
})

void t.test('generation redis: of all shards of a cluster', skip, async (t) => {
  const cluster = await startCluster(3)
  t.teardown(() => cluster.stop())
  const devices = ['a', 'b', 'c', 'd', 'e', 'f']
  const server = await TestServer.start(t, { env: SECRETS, flags: ['--store', cluster.url] })
  const epochs = async (): Promise<readonly string[]> => {
    const { body } = await server.rest('POST', '/v1/messages', {
      messages: devices.map((device) => ({ device, payload: 'x' })),
    })
    const results = typeof body === 'object' && body !== null && 'results' in body ? body.results : []
    return Array.isArray(results) ? results.map((result: { readonly epoch?: unknown }) => String(result.epoch)) : []
  }
  const first = await epochs()
  t.equal(first.length, devices.length)
  t.same(await epochs(), first)
  await server.stop()
  t.match(await runCommand(t, ['generation', 'new', '--store', cluster.url]), { code: 0 })
  await server.restart()
  const second = await epochs()
  for (const [i, device] of devices.entries()) t.not(second[i], first[i], device)
  t.same(await epochs(), second)
})
