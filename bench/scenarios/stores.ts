// The three stores side by side, each alone without a server in front, in one run: pushes in batches until they are accepted, then
// everything read and acknowledged as couriers do. Of MongoDB also its own rate: updates of one document each, to a majority, by 64 writers.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '../../core/log.js'
import type { NewMessage } from '../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { openMongoStore } from '../../core/stores/mongodb/open.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { payloadOption } from '../lib/load-options.js'
import { givenMongodb, newDatabase, NO_MONGODB, ownRate } from '../lib/mongodb.js'
import { rounded } from '../lib/numbers.js'
import { integer, type Values } from '../lib/options.js'
import { startRedis } from '../lib/redis-server.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'

const spec = {
  devices: integer(1_000, 1, 100_000, 'devices'),
  messages: integer(50_000, 100, 10_000_000, 'messages'),
  batch: integer(100, 1, 1_000, 'messages of a call, each of another device'),
  callers: integer(32, 1, 1_000, 'calls at one time'),
  payloadBytes: payloadOption,
}
type Options = Values<typeof spec>

const OWN_SECONDS = 6
const TRIES = 60
const RETRY_MS = 500
const limits = { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 10_000_000, inboxMaxBytes: 2 ** 40 }
const log = createLogger({ level: 'error' })
const idOf = (n: number): string => `device-${String(n).padStart(9, '0')}`

async function parallel(count: number, callers: number, step: (n: number) => Promise<void>): Promise<number> {
  let next = 0
  const from = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      for (let n = next++; n < count; n = next++) await step(n)
    }),
  )
  return (performance.now() - from) / 1000
}

/** Accepted and delivered a second, and how long a call of a batch took. */
async function measure(mailbox: Mailbox, { devices, messages, batch, callers, payloadBytes }: Options) {
  const payload = Buffer.alloc(payloadBytes, 'x')
  const calls = Math.floor(messages / batch)
  const took: number[] = []
  let refused = 0
  let retried = 0
  const push = async (n: number): Promise<void> => {
    let items = Array.from({ length: batch }, (_, i): NewMessage => {
      const device = idOf((n * batch + i) % devices)
      const dedupId = `${n}-${i}`
      return { device, payload, contentType: 'text/plain', attributes: null, dedupId, ttl: null, priority: 'normal' }
    })
    const from = performance.now()
    // As a producer does: what the store did not take in time is brought again.
    for (let tries = 0; items.length > 0 && tries < TRIES; tries++) {
      const results = await mailbox.append(items)
      const again = items.filter((_, i) => results[i]?.ok !== true)
      retried += again.length
      if (again.length > 0) await delay(RETRY_MS)
      items = again
    }
    refused += items.length
    took.push(performance.now() - from)
  }
  const cpuBefore = process.cpuUsage()
  const seconds = await parallel(calls, callers, push)
  const cpu = process.cpuUsage(cpuBefore)
  let delivered = 0
  const drain = async (n: number): Promise<void> => {
    const device = idOf(n)
    const claim = await mailbox.claim(device, { node: 'bench', claimId: 'bench' }, { force: true })
    if (!claim.ok) return
    let position = claim.position
    for (;;) {
      const page = await mailbox.read({ device, claimId: 'bench', position, maxMessages: 100, maxBytes: 2 ** 20 })
      if (page.kind !== 'page' || page.entries.length === 0) break
      delivered += page.entries.length
      position = page.next
      await mailbox.ack([{ device, position }])
    }
  }
  const drained = await parallel(Math.min(devices, calls * batch), 256, drain)
  took.sort((a, b) => a - b)
  return {
    acceptedPerSecond: rounded((calls * batch - refused) / seconds),
    deliveredPerSecond: rounded(delivered / drained),
    callP50Ms: rounded(took[Math.floor(took.length / 2)] ?? 0, 1),
    callP99Ms: rounded(took[Math.floor(took.length * 0.99)] ?? 0, 1),
    nodeMicrosEach: rounded((cpu.user + cpu.system) / (calls * batch), 1),
    refused,
    retried,
    whole: delivered === calls * batch - refused,
  }
}

async function run(options: Options, { scope, say }: ScenarioContext) {
  return within(scope, async (round) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-bench-stores-'))
    round.defer(() => rm(folder, { recursive: true, force: true }))
    const lmdb = await openLmdbStore({ path: folder, durability: 'disk', limits, log })
    const embedded = await measure(lmdb.mailbox, options)
    await lmdb.close()
    say(`embedded: ${embedded.acceptedPerSecond}/s`)
    const server = await startRedis(round, ['--appendonly', 'yes', '--appendfsync', 'always'])
    const onRedis = await openRedisStore({ url: server.url, limits, log })
    const redis = await measure(onRedis.mailbox, options)
    await onRedis.close()
    say(`redis: ${redis.acceptedPerSecond}/s`)
    const given = givenMongodb()
    if (given === null) {
      say(`mongodb ${NO_MONGODB}`)
      return { embedded, redis, mongodb: null }
    }
    const url = await newDatabase(round, given)
    const before = await ownRate(url, OWN_SECONDS, null)
    const onMongo = await openMongoStore({ url, limits, log })
    const mongodb = await measure(onMongo.mailbox, options)
    await onMongo.close()
    const after = await ownRate(url, OWN_SECONDS, null)
    const ownPerSecond = rounded((before.perSecond + after.perSecond) / 2)
    say(`mongodb: ${mongodb.acceptedPerSecond}/s; alone ${ownPerSecond} updates/s`)
    const ratio = rounded(mongodb.acceptedPerSecond / ownPerSecond, 2)
    return { embedded, redis, mongodb: { ...mongodb, ownPerSecond, ratio } }
  })
}

export const stores = defineScenario(
  'stores',
  'the three stores side by side: accepted and delivered a second, the time of a call, and MongoDB’s own rate of updates',
  spec,
  async (options, context) => {
    const report = await run(options, context)
    const clean = [report.embedded, report.redis, report.mongodb].every((each) => each === null || each.whole)
    return { clean, report }
  },
)
