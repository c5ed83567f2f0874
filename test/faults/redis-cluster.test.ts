// A Redis Cluster while its parts move and fail.

import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { deviceRecordKey } from '../../core/stores/redis/keys.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { slotOf } from '../../core/stores/redis/slot.js'
import { eventually, message, push, range } from '../conformance/messages.js'
import { type RedisCluster, startCluster } from '../support/redis/cluster.js'
import { freePort, noRedis, type RedisServer, startRedis } from '../support/redis/server.js'

const skip = { skip: noRedis }

async function start(t: Test) {
  const cluster = await startCluster(3)
  const store = await openRedisStore({
    url: cluster.url,
    limits: DEFAULT_MAILBOX_LIMITS,
    log: createLogger({ level: 'silent' }),
  })
  t.teardown(async () => {
    await store.close()
    await cluster.stop()
  })
  return { cluster, store }
}

const shardOf = (device: string): number => Math.floor((slotOf(deviceRecordKey(device)) * 3) / 16_384)

const idOf = (node: RedisServer): Promise<string> => node.admin.cluster('MYID')

/** Moves the slot of `device` to another node, key by key, as an operator's tool does. */
async function moveSlot({ nodes }: RedisCluster, device: string, step: () => Promise<void>): Promise<void> {
  const slot = slotOf(deviceRecordKey(device))
  const from = nodes[shardOf(device)]
  const to = nodes[(shardOf(device) + 1) % 3]
  if (from === undefined || to === undefined) throw new RangeError('no such node')
  await to.admin.call('cluster', 'setslot', slot, 'importing', await idOf(from))
  await from.admin.call('cluster', 'setslot', slot, 'migrating', await idOf(to))
  for (;;) {
    const keys: unknown = await from.admin.call('cluster', 'getkeysinslot', slot, 1)
    const [key] = Array.isArray(keys) ? keys : []
    if (key === undefined) break
    await from.admin.call('migrate', '127.0.0.1', to.port, String(key), 0, 5000)
    await step()
  }
  for (const node of [to, from, ...nodes]) await node.admin.call('cluster', 'setslot', slot, 'node', await idOf(to))
}

t.test(
  'redis cluster: a slot moves while its device is appended to: nothing is lost, each is once',
  skip,
  async (t) => {
    const { cluster, store } = await start(t)
    const { mailbox } = store
    const state = { done: false }
    const appended = new Map<string, number>()
    const working = Promise.all(
      range(1, 4).map(async (worker) => {
        for (let n = 0; !state.done; n++) {
          const dedupId = `${worker}-${n}`
          for (;;) {
            const [result] = await mailbox.append([message('phone-1', { dedupId, payload: dedupId })])
            if (result?.ok === true) {
              appended.set(dedupId, result.seq)
              break
            }
            await new Promise((resolve) => setTimeout(resolve, 5))
          }
        }
      }),
    )
    const progress = async (): Promise<void> => {
      const before = appended.size
      await eventually(async () => (appended.size > before ? true : undefined), 300, 'appends').catch(() => undefined)
    }
    await progress()
    await moveSlot(cluster, 'phone-1', progress)
    const before = appended.size
    await eventually(async () => (appended.size > before + 20 ? true : undefined), 5_000, 'appends on the other node')
    state.done = true
    await working
    t.equal((await mailbox.info('phone-1'))?.head, appended.size)
    t.equal(new Set(appended.values()).size, appended.size)
    for (const [dedupId, seq] of [...appended].slice(-20)) {
      t.match(await push(mailbox, 'phone-1', { dedupId, payload: dedupId }), { seq, duplicate: true })
    }
  },
)

t.test('redis cluster: a replica is promoted: found by itself, and another epoch', skip, async (t) => {
  const { cluster, store } = await start(t)
  const [first, master] = cluster.nodes
  if (first === undefined || master === undefined) throw new RangeError('no nodes')
  const busPort = await freePort()
  const replica = await startRedis(['--cluster-enabled', 'yes', '--cluster-port', String(busPort)])
  t.teardown(() => replica.stop())
  await first.admin.call('cluster', 'meet', '127.0.0.1', replica.port, busPort)
  await eventually(
    async () => ((await replica.admin.cluster('INFO')).includes('cluster_known_nodes:4') ? true : undefined),
    10_000,
    'the node is met',
  )
  const masterId = await idOf(master)
  await eventually(
    async () =>
      replica.admin.cluster('REPLICATE', masterId).then(
        () => true,
        () => undefined,
      ),
    10_000,
    'the node replicates',
  )
  const device =
    range(1, 100)
      .map((i) => `d${i}`)
      .find((id) => shardOf(id) === 1) ?? ''
  const before = await push(store.mailbox, device)
  await eventually(async () => ((await replica.admin.info('keyspace')).includes('keys=') ? true : undefined), 10_000)
  await master.kill('SIGKILL')
  await replica.admin.call('cluster', 'failover', 'takeover')
  const again = await eventually(
    async () => {
      const [result] = await store.mailbox.append([message(device)])
      return result?.ok === true ? result : undefined
    },
    20_000,
    'the promoted replica serves',
  )
  t.equal(again.seq, 2)
  t.not(again.epoch, before.epoch)
})

t.test(
  'redis cluster: a shard that is gone fails its devices alone, and comes back as another instance',
  skip,
  async (t) => {
    const { cluster, store } = await start(t)
    // A shard that is gone must not make the others refuse.
    for (const { admin } of cluster.nodes) await admin.config('SET', 'cluster-require-full-coverage', 'no')
    const { mailbox } = store
    const devices = [0, 1, 2].map(
      (shard) =>
        range(1, 100)
          .map((i) => `d${i}`)
          .find((id) => shardOf(id) === shard) ?? '',
    )
    const first = (await mailbox.append(devices.map((device) => message(device)))).map((r) => (r.ok ? r.epoch : r.code))
    const [, gone] = cluster.nodes
    await gone?.kill('SIGKILL')
    const refused = await eventually(async () => {
      const from = performance.now()
      const results = await mailbox.append(devices.map((device) => message(device)))
      if (performance.now() - from > 2_000) t.fail('answered later than 2 s')
      return results[1]?.ok === false ? results : undefined
    })
    t.match(refused, [{ ok: true }, { ok: false, code: /store_unavailable|outcome_unknown/ }, { ok: true }])
    await gone?.start()
    const again = await eventually(
      async () => {
        const [result] = await mailbox.append([message(devices[1] ?? '')])
        return result?.ok === true ? result : undefined
      },
      15_000,
      'the shard serves again',
    )
    t.not(again.epoch, first[1], 'a new epoch on the shard that started anew')
    t.equal((await push(mailbox, devices[0] ?? '')).epoch, first[0], 'and none on the others')
  },
)
