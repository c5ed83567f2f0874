// Two brokers that share the devices: what each asks of Redis, as Redis sees it.

import t from 'tap'
import { RedisWatch } from '../../bench/lib/redis-watch.js'
import { Scope } from '../../bench/lib/scope.js'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { kept, producerFor, roadDevice, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { pause, until } from '../support/road/wait.js'

const DEVICES = 20

t.test('split: a node does no work for devices that are not its own', { skip: noRedis }, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const scope = new Scope()
  t.teardown(() => scope.close())
  const watch = await RedisWatch.start(scope, redis.admin)
  const api = await node('--role', 'api')
  const broker = (): ReturnType<typeof node> => node('--role', 'broker', '--sweep-interval', '1h')
  const [owner, other] = [await broker(), await broker()] as const
  const ledger = new RoadLedger()
  const start = async (server: typeof owner, name: string): Promise<readonly string[]> => {
    const devices = await Promise.all(
      Array.from({ length: DEVICES }, (_, i) => roadDevice(t, server, ledger, `${name}-${i}`)),
    )
    for (const device of devices) await device.start().untilReady()
    return devices.map(({ device }) => device)
  }
  const owned = await start(owner, 'owned')
  await start(other, 'others')

  for (const [name, { pid }] of Object.entries({ api, owner, other })) watch.count(name, pid)
  const from = performance.now()
  const producer = await producerFor(t, api, ledger, { devices: owned, batch: 20, rate: 1_000 })
  producer.start()
  await until('messages to flow', () => ledger.progress.arrived > 2_000, 60_000)
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await pause(500) // the last acks
  const seconds = (performance.now() - from) / 1000

  const [ofApi, ofOwner, ofOther] = ['api', 'owner', 'other'].map((name) => watch.work(name))
  const arrived = ledger.progress.arrived
  t.comment(`${arrived} messages in ${seconds.toFixed(1)} s: ${JSON.stringify({ ofApi, ofOwner, ofOther })}`)
  t.ok((ofApi?.framesSent ?? 0) > 0)
  t.equal(ofOwner?.framesReceived, ofApi?.framesSent, 'every packet goes to the owner')
  t.ok((ofOwner?.devices.size ?? 0) === DEVICES, 'which acknowledges for its devices')
  t.equal(ofOther?.framesReceived, 0, 'the other node is sent nothing')
  t.equal(ofOther?.devices.size, 0, 'and asks nothing of any device')
  const { spublish = 0, evalsha = 0, eval: evals = 0, ...rest } = ofOther?.commands ?? {}
  const sum = Object.values(rest).reduce((all, count) => all + count, 0)
  t.ok(spublish <= seconds / 0.8 + 3, `${spublish} beats`)
  // What a node does in any case: some commands a second, however many messages there are.
  t.ok(evalsha + evals <= seconds * 4 + 5, `${evalsha + evals} signs of life`)
  t.ok(sum <= seconds * 4 + 5, JSON.stringify(rest))
  t.ok(arrived > 20 * seconds)
})
