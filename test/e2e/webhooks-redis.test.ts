// Webhooks of several nodes on one Redis.

import t from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { runScenario, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

void t.test('webhooks, redis: of two API nodes one sends, and the other goes on', { skip: noRedis }, async (t) => {
  const cluster = await startClusterOn(t)
  const broker = await cluster.node('--role', 'broker')
  const nodes = [
    await cluster.node('--role', 'api', ...WEBHOOK_FLAGS),
    await cluster.node('--role', 'api', ...WEBHOOK_FLAGS),
  ]
  const [api, other] = nodes
  if (api === undefined || other === undefined) throw new Error('there are two')
  const held = () => Promise.all(nodes.map((node) => metric(node, 'webhooks_held')))
  await runScenario(t, {
    api,
    broker,
    async killSender() {
      await until('one node to send', async () => (await held()).reduce((sum, count) => sum + count, 0) === 1)
      const [first] = await held()
      const sender = first === 1 ? api : other
      await sender.kill('SIGKILL')
      const survivor = sender === api ? other : api
      const killedAt = performance.now()
      await until('the other one to send', async () => (await metric(survivor, 'webhooks_held')) === 1)
      t.comment(`another node sends after ${Math.round(performance.now() - killedAt)} ms`)
      await sender.restart()
    },
  })
})
