import t from 'tap'
import { crashConformance } from '../conformance/crash/index.js'
import { openForCrash } from '../support/redis/crash-opener.js'
import { noRedis, startRedis } from '../support/redis/server.js'

if (noRedis === false) {
  const redis = await startRedis()
  crashConformance(t, {
    name: 'redis',
    opener: new URL('../support/redis/crash-opener.ts', import.meta.url),
    openForCrash,
    prepare: async () => redis.url,
  })
  t.test('redis: is ended', async (t) => {
    await redis.stop()
    t.pass()
  })
} else t.pass('needs Redis', { skip: noRedis })
