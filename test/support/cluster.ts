// Several processes of the server on one Redis.

import type { Test } from 'tap'
import { type RedisServer, startRedis } from './redis/server.js'
import { TestServer } from './server.js'

const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}

export interface Cluster {
  readonly redis: RedisServer
  /** One more node; `--store` may be given, for a way to the same Redis. */
  readonly node: (...flags: string[]) => Promise<TestServer>
}

/** A Redis, ended with the test. */
export async function startClusterOn(t: Test, settings: readonly string[] = []): Promise<Cluster> {
  const redis = await startRedis(settings)
  t.teardown(() => redis.stop())
  return {
    redis,
    node(...flags) {
      const store = flags.includes('--store') ? [] : ['--store', redis.url]
      return TestServer.start(t, { flags: [...store, ...flags], env: SECRETS })
    },
  }
}

/** Ends the connections by which nodes hear of each other. How many there were. */
export async function killSubscribers({ admin }: RedisServer): Promise<number> {
  const clients = String(await admin.client('LIST')).split('\n')
  const ids = clients.flatMap((line) => (/ ssub=[1-9]/.test(line) ? [/^id=(\d+)/.exec(line)?.[1] ?? ''] : []))
  for (const id of ids) await admin.client('KILL', 'ID', id)
  return ids.length
}
