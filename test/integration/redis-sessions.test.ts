import t from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { sharedFanOutConformance } from '../conformance/shared-fan-out.js'
import { sharedSessionsConformance } from '../conformance/shared-sessions.js'
import { TestNode } from '../support/pubsub/shared-node.js'
import { onRedis } from '../support/redis/factory.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { pause } from '../support/road/wait.js'

onRedis(t, (factory) => {
  sharedSessionsConformance(t, factory)
  sharedFanOutConformance(t, factory)
})

t.test('redis sessions: nobody dies of Redis having been away', { skip: noRedis }, async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const join = async (): Promise<TestNode> => {
    const store = await openRedisStore({
      url: redis.url,
      limits: DEFAULT_MAILBOX_LIMITS,
      ordinaryLimits: { leaseMs: 500 },
      log: createLogger({ level: 'silent' }),
    })
    t.teardown(() => store.close())
    return TestNode.join(store.sessions)
  }
  const nodes = [await join(), await join(), await join()]
  await Promise.all(nodes.map((node, i) => node.open(`c${i}`, `${i}`, { will: { ...WILL, topic: `w/${i}` } })))
  await nodes[0]?.session('spy', 's', 'w/#')
  for (let round = 0; round < 3; round++) {
    // They trust themselves by then.
    await pause(1_500)
    // Longer than the lease; what was sent before is carried out afterwards.
    redis.signal('SIGSTOP')
    await pause(1_200)
    redis.signal('SIGCONT')
  }
  await pause(1_000)
  t.strictSame(nodes[0]?.got, [])
})

const WILL = { payload: Buffer.from('gone'), qos: 1, retain: false } as const
