import t from 'tap'
import { busConformance } from '../conformance/bus.js'
import { busOf, Heard, noticeOf, openBus } from '../support/redis/bus.js'
import { type RedisCluster, startCluster } from '../support/redis/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'

if (noRedis !== false) t.pass('needs Redis', { skip: noRedis })
else {
  const running: { cluster: Promise<RedisCluster> | null } = { cluster: null }
  const cluster = () => (running.cluster ??= startCluster(3))
  busConformance(t, {
    name: 'redis cluster',
    supports: { manyClients: true },
    async open() {
      const { nodes, url } = await cluster()
      await Promise.all(nodes.map((node) => node.admin.flushall()))
      const opened: Array<Awaited<ReturnType<typeof openBus>>> = []
      return {
        async connect() {
          const bus = await openBus(url)
          opened.push(bus)
          return bus.bus
        },
        async close() {
          await Promise.all(opened.map((bus) => bus.close()))
        },
      }
    },
  })

  t.test('redis bus on a cluster: a packet touches the shard of its node and no other', async (t) => {
    const { nodes, url } = await cluster()
    const [sender, receiver] = [await busOf(t, url), await busOf(t, url)]
    const heard = new Heard()
    await receiver.bus.join('a', heard)
    const channels = await Promise.all(nodes.map(({ admin }) => admin.call('pubsub', 'shardnumsub', 'pr-bus:{a}:0')))
    t.strictSame(
      channels.map((reply) => (Array.isArray(reply) ? Number(reply[1]) : NaN)).toSorted((a, b) => a - b),
      [0, 0, 1],
      'the node listens on one shard',
    )
    for (let seq = 1; seq <= 100; seq++) sender.bus.notify('a', [noticeOf(seq)])
    await until('all', () => heard.seqs.length === 100, 3_000)
    t.equal(heard.gaps, 0)
  })

  t.test('redis bus: the cluster is ended', async (t) => {
    await (await running.cluster)?.stop()
    t.pass()
  })
}
