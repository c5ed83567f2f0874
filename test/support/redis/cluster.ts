// A real Redis Cluster of the test's own: nodes of one binary, made by CLUSTER commands.

import { type RedisServer, freePort, startRedis } from './server.js'

const SLOTS = 16_384

export interface RedisCluster {
  readonly nodes: readonly RedisServer[]
  /** From any of its nodes. */
  readonly url: string
  stop(): Promise<void>
}

/** `count` masters, each with its part of the slots. */
export async function startCluster(count = 3, settings: readonly string[] = []): Promise<RedisCluster> {
  const nodes: RedisServer[] = []
  for (let i = 0; i < count; i++) {
    const busPort = await freePort()
    nodes.push(
      await startRedis([
        '--cluster-enabled',
        'yes',
        '--cluster-port',
        String(busPort),
        '--cluster-node-timeout',
        '2000',
        ...settings,
      ]),
    )
  }
  const [first, ...others] = nodes
  if (first === undefined) throw new RangeError('a cluster has at least one node')
  const busPortOf = async (node: RedisServer): Promise<string> => {
    const reply: unknown = await node.admin.config('GET', 'cluster-port')
    return Array.isArray(reply) ? String(reply[1]) : ''
  }
  for (const [i, node] of nodes.entries()) {
    await node.admin.cluster('SET-CONFIG-EPOCH', i + 1)
    const from = Math.floor((SLOTS * i) / count)
    const to = Math.floor((SLOTS * (i + 1)) / count) - 1
    await node.admin.call('cluster', 'addslotsrange', from, to)
  }
  for (const node of others) {
    await first.admin.call('cluster', 'meet', '127.0.0.1', node.port, await busPortOf(node))
  }
  const until = performance.now() + 20_000
  for (const node of nodes) {
    for (;;) {
      const info = await node.admin.cluster('INFO')
      if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${count}`)) break
      if (performance.now() > until) throw new Error(`the cluster does not come up: ${info}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return {
    nodes,
    url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}
