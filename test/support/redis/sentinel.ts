// A master, replicas that follow it, and sentinels that watch it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { until } from '../road/wait.js'
import { freePort, REDIS_SERVER, type RedisServer, startRedis } from './server.js'

/** As the sentinels call the master. */
const NAME = 'inboxes'
/** What replicas log in with, so that a master can be told to let them go. */
const REPLICATOR = ['--user', 'replicator', 'on', '>replicator', '+psync', '+replconf', '+ping']
const FOLLOW = ['--masteruser', 'replicator', '--masterauth', 'replicator']

export interface SentinelGroup {
  readonly url: string
  readonly servers: readonly RedisServer[]
  /** As the first sentinel says. */
  master(): Promise<RedisServer>
  /** From now on what the master takes reaches no replica. */
  cutReplication(master: RedisServer): Promise<void>
  /** Resolves when another server than this one is the master. */
  promoted(instead: RedisServer): Promise<RedisServer>
  /** Resolves when so many replicas follow the master, and it knows. */
  followed(replicas: number): Promise<void>
}

/** Everything ends with the test. `settings`: of each Redis. */
export async function startSentinelGroup(
  t: Test,
  {
    replicas,
    sentinels,
    settings = [],
  }: { readonly replicas: number; readonly sentinels: number; readonly settings?: readonly string[] },
): Promise<SentinelGroup> {
  const start = async (more: readonly string[]): Promise<RedisServer> => {
    const server = await startRedis([...settings, ...REPLICATOR, ...FOLLOW, ...more])
    t.teardown(() => server.stop())
    return server
  }
  const first = await start([])
  const servers = [first]
  for (let i = 0; i < replicas; i++) servers.push(await start(['--replicaof', `127.0.0.1 ${first.port}`]))
  const follow = async (server: RedisServer, count: number): Promise<boolean> => {
    const info = await server.admin.info('replication')
    return (info.match(/state=online/g) ?? []).length >= count
  }
  await until('the replicas to follow', () => follow(first, replicas), 30_000)
  const ports: number[] = []
  for (let i = 0; i < sentinels; i++) ports.push(await startSentinel(t, first.port, Math.floor(sentinels / 2) + 1))
  const [port = 0] = ports
  const sentinel = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null })
  sentinel.on('error', () => undefined)
  t.teardown(() => sentinel.disconnect())
  await until(
    'the sentinels to know each other and the replicas',
    async () => {
      const state = String(await sentinel.call('SENTINEL', 'MASTER', NAME)).split(',')
      const field = (name: string): number => Number(state[state.indexOf(name) + 1])
      return field('num-slaves') >= replicas && field('num-other-sentinels') >= sentinels - 1
    },
    30_000,
  )
  const master = async (): Promise<RedisServer> => {
    const address: unknown = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)
    const found = servers.find((server) => Array.isArray(address) && String(address[1]) === String(server.port))
    if (found === undefined) throw new Error(`no server of the test is the master: ${String(address)}`)
    return found
  }
  return {
    url: `redis+sentinel://${ports.map((each) => `127.0.0.1:${each}`).join(',')}/${NAME}`,
    servers,
    master,
    async cutReplication({ admin }) {
      await admin.acl('SETUSER', 'replicator', 'off')
      await admin.client('KILL', 'USER', 'replicator')
    },
    async promoted(instead) {
      await until('another master', async () => (await master()).port !== instead.port, 30_000)
      const now = await master()
      await until('it to be one', async () => (await now.admin.info('replication')).includes('role:master'), 30_000)
      return now
    },
    followed: async (count) => until('the replicas to follow', async () => follow(await master(), count), 60_000),
  }
}

/** Answers its port. */
async function startSentinel(t: Test, master: number, quorum: number): Promise<number> {
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
      `sentinel monitor ${NAME} 127.0.0.1 ${master} ${quorum}`,
      `sentinel down-after-milliseconds ${NAME} 1000`,
      `sentinel failover-timeout ${NAME} 3000`,
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
