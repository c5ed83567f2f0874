// Devices of a broker that is killed, or hangs: their claims stay in the store, until the others find out.

import t, { type Test } from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { databaseOf, noMongo } from '../support/mongodb/server.js'
import { noRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'
import type { TestServer } from '../support/server.js'
import { deadNodes, type DeadNodeStage } from '../support/webhooks/dead-node.js'
import { makeWebhook, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

type Start = (...flags: string[]) => Promise<TestServer>

async function nodesOf(node: Start): Promise<Pick<DeadNodeStage, 'api' | 'survivor' | 'killed' | 'frozen'>> {
  return {
    api: await node('--role', 'api', ...WEBHOOK_FLAGS),
    survivor: await node('--role', 'broker'),
    killed: await node('--role', 'broker'),
    frozen: await node('--role', 'broker'),
  }
}

void t.test(
  'webhooks: devices of a broker that dies are told once, those that moved are not',
  { skip: noRedis },
  async (t) => {
    const { redis, node } = await startClusterOn(t)
    await deadNodes(t, {
      ...(await nodesOf(node)),
      claimsEnded: 'redis_claims_ended_total',
      async nothingLeft() {
        await until(
          'nothing to be noted of them',
          async () => (await redis.admin.smembers('pr-claims:{nodes}:dead')).length === 0,
        )
        t.equal(
          (await redis.admin.keys('pr-claims:*')).length,
          2 + 2,
          'the nodes, the caretaker, two devices of a node that lives',
        )
      },
    })
  },
)

async function mongoCluster(t: Test) {
  const { redis, node } = await startClusterOn(t)
  const { url, db } = await databaseOf(t)
  const start: Start = (...flags) => node('--store', url, '--bus', redis.url, ...flags)
  return { db, start }
}

const skip = { skip: noMongo === false ? noRedis : noMongo }

void t.test('webhooks, mongodb: devices of a broker that dies are told once', skip, async (t) => {
  const { db, start } = await mongoCluster(t)
  const devices = db.collection('devices')
  await deadNodes(t, {
    ...(await nodesOf(start)),
    claimsEnded: 'mongodb_claims_ended_total',
    async nothingLeft() {
      await until(
        'the processes that live to be there alone',
        async () => (await db.collection('nodes').countDocuments({ _id: { $exists: true } })) === 2,
      )
      t.equal(await devices.countDocuments({ 'r.node': { $gt: '' } }), 2, 'two devices of a node that lives')
    },
  })
})

void t.test('webhooks, mongodb: what expires of a device that nobody uses is told', skip, async (t) => {
  const { start } = await mongoCluster(t)
  const api = await start('--role', 'api', ...WEBHOOK_FLAGS)
  await start('--role', 'broker')
  const receiver = await makeWebhook(t, api)
  const from = performance.now()
  t.equal((await api.rest('POST', '/v1/devices/away/messages', { payload: 'x', ttl: 3 })).status, 202)
  await receiver.untilTaken('message.expired', 1)
  const took = performance.now() - from
  t.comment(`told ${Math.round(took) - 3_000} ms behind its time`)
  t.match(
    receiver.events.map(({ type, data }) => [type, data['device']]),
    [
      ['device.offline_with_pending', 'away'],
      ['message.expired', 'away'],
    ],
  )
})
