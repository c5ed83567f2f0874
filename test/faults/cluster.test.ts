// One API process and two brokers on one Redis, under load, while each part fails in turn: what was accepted arrives, in order,
// and nothing comes again that may not.

import t from 'tap'
import { type Cluster, killSubscribers, startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { RoadDevice } from '../support/road/device.js'
import { drained, kept, producerFor, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { LONG, pause, until } from '../support/road/wait.js'
import type { TestServer } from '../support/server.js'

const DEVICES = LONG ? 100 : 24
const RATE = LONG ? 1_000 : 400
const FROZEN_MS = LONG ? 10_000 : 5_000
const ROUNDS = LONG ? 5 : 1

if (LONG) t.setTimeout(900_000)

interface Stage {
  readonly redis: Cluster['redis']
  readonly brokers: readonly [TestServer, TestServer]
  /** The brokers that new connections go to. */
  readonly open: Set<TestServer>
  readonly devices: readonly RoadDevice[]
  readonly ledger: RoadLedger
}

interface Scenario {
  readonly name: string
  readonly run: (stage: Stage) => Promise<void>
}

const comeBack = (devices: readonly RoadDevice[]): Promise<void> =>
  until('all devices to be connected', () => devices.every(({ ready }) => ready), 30_000)

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'SIGKILL of a broker, and its restart',
    async run({ brokers: [victim], open, devices, ledger }) {
      open.delete(victim)
      ledger.cut()
      await victim.kill('SIGKILL')
      await comeBack(devices)
      await victim.restart()
      open.add(victim)
    },
  },
  {
    name: `SIGSTOP of a broker for ${FROZEN_MS / 1000} s, while a part of its devices go to the other one`,
    async run({ brokers: [, victim], open, devices, ledger }) {
      open.delete(victim)
      victim.child.signal('SIGSTOP')
      ledger.cut()
      await pause(FROZEN_MS / 2)
      const impatient = devices.slice(0, DEVICES / 4)
      for (const device of impatient) {
        await device.stop(true)
        device.start()
      }
      await pause(FROZEN_MS / 2)
      victim.child.signal('SIGCONT')
      open.add(victim)
    },
  },
  {
    name: 'the pub/sub connections are killed, five times',
    async run({ redis }) {
      for (let i = 0; i < 5; i++) {
        await killSubscribers(redis)
        await pause(200)
      }
    },
  },
  {
    name: 'Redis is frozen for 5 s',
    async run({ redis, ledger }) {
      ledger.cut()
      redis.signal('SIGSTOP')
      await pause(5_000)
      redis.signal('SIGCONT')
    },
  },
  {
    name: 'SIGKILL of Redis (appendfsync always), and its restart',
    async run({ redis, ledger }) {
      ledger.cut()
      await redis.restart('SIGKILL')
    },
  },
  {
    name: 'all devices are cut at once',
    async run({ devices, ledger }) {
      ledger.cut()
      await Promise.all(devices.map((device) => device.stop(true)))
      for (const device of devices) device.start()
    },
  },
]

t.test('cluster: whatever fails, nothing accepted is lost, repeated or reordered', { skip: noRedis }, async (t) => {
  const { redis, node } = await startClusterOn(t, ['--appendfsync', 'always'])
  const api = await node('--role', 'api', '--inbox-max', '50000')
  const flags = ['--role', 'broker', '--inbox-max', '50000', '--connect-rate-per-device', 'off']
  const brokers = [await node(...flags), await node(...flags)] as const
  const open = new Set<TestServer>(brokers)
  const ledger = new RoadLedger()
  let turn = 0
  const devices = await Promise.all(
    Array.from({ length: DEVICES }, async (_, i) => {
      const device = `phone-${i}`
      const made = new RoadDevice({
        device,
        token: await api.token(device),
        ledger,
        clean: i % 3 !== 0,
        ackDelayMs: i % 4 === 0 ? 30 : 0,
        port: () => [...open][turn++ % open.size]?.ports.mqtt ?? 0,
      })
      t.teardown(() => made.stop(true))
      return made.start()
    }),
  )
  await comeBack(devices)
  const all = devices.map(({ device }) => device)
  let accepted = 0
  const producer = await producerFor(t, api, ledger, { devices: all, lanes: 3, batch: 20, rate: RATE })
  producer.start()
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, run } of SCENARIOS) {
      const from = performance.now()
      await pause(500)
      await run({ redis, brokers, open, devices, ledger })
      const over = performance.now()
      await comeBack(devices)
      const before = ledger.progress
      await until('messages to flow again', () => ledger.progress.arrived > before.arrived + RATE / 4, 30_000)
      await pause(1_500) // acks of an outage are stored a second after its end, and what was not may come again
      const { progress } = ledger
      t.pass(name)
      t.comment(
        `${progress.accepted - accepted} accepted in ${Math.round((performance.now() - from) / 100) / 10} s, ` +
          `flows again ${Math.round(performance.now() - over)} ms after it was over`,
      )
      accepted = progress.accepted
    }
  }
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, api, all)
})
