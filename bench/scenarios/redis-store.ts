// The Redis store alone, without a server in front: appends to many devices, acks, pages; and what things cost in memory.
import { setTimeout as delay } from 'node:timers/promises'
import { createLogger } from '../../core/log.js'
import type { NewMessage } from '../../core/model/message.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox } from '../../core/ports/mailbox.js'
import { EVENTS_KEY } from '../../core/stores/redis/keys.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { payloadOption } from '../lib/load-options.js'
import { rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { cpuSeconds } from '../lib/proc-stats.js'
import { type BenchRedis, startRedis } from '../lib/redis-server.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'

const spec = {
  devices: integer(1_000, 1, 100_000, 'devices'),
  messages: integer(200_000, 100, 10_000_000, 'messages'),
  batch: integer(100, 1, 1_000, 'messages of a call, each of another device'),
  callers: integer(8, 1, 1_000, 'calls at one time'),
  payloadBytes: payloadOption,
  fsync: choice('everysec', ['everysec', 'always', 'no'], 'appendfsync'),
  memoryDevices: integer(50_000, 100, 5_000_000, 'devices of the memory measurement'),
}
type Options = Values<typeof spec>

interface Work {
  readonly perSecond: number
  readonly redisMicrosEach: number
  readonly nodeMicrosEach: number
}

/** What is refused for longer is no passing overload. */
const TRIES = 60
const RETRY_MS = 500

const idOf = (n: number): string => `device-${String(n).padStart(9, '0')}`

function messageTo(device: string, payload: Uint8Array, dedupId: string | null): NewMessage {
  return { device, payload, contentType: 'text/plain', attributes: null, dedupId, ttl: null, priority: 'normal' }
}

/** Runs `step` with the numbers 0 … count − 1, `callers` at one time; what each cost. */
async function work(
  redis: BenchRedis,
  count: number,
  callers: number,
  each: number,
  step: (n: number) => Promise<void>,
): Promise<Work> {
  let next = 0
  const redisBefore = cpuSeconds(redis.pid)
  const nodeBefore = process.cpuUsage()
  const from = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      for (let n = next++; n < count; n = next++) await step(n)
    }),
  )
  const seconds = (performance.now() - from) / 1000
  const node = process.cpuUsage(nodeBefore)
  const total = count * each
  return {
    perSecond: rounded(total / seconds),
    redisMicrosEach: rounded(((cpuSeconds(redis.pid) - redisBefore) / total) * 1e6, 1),
    nodeMicrosEach: rounded((node.user + node.system) / total, 1),
  }
}

async function throughput(options: Options, { scope }: ScenarioContext) {
  return within(scope, async (round) => {
    const redis = await startRedis(round, ['--appendonly', 'yes', '--appendfsync', options.fsync])
    const store = await openStore(redis)
    const { mailbox } = store
    const payload = Buffer.alloc(options.payloadBytes, 'x')
    const { devices, batch, callers } = options
    const calls = Math.floor(options.messages / batch)
    const epochs = new Map<string, string>()
    let refused = 0
    let retried = 0
    const append = (dedup: boolean) => async (n: number) => {
      let items = Array.from({ length: batch }, (_, i) => {
        const device = idOf((n * batch + i) % devices)
        return messageTo(device, payload, dedup ? `${n}-${i}` : null)
      })
      // As a producer does: what the store did not take in time is brought again.
      for (let tries = 1; ; tries++) {
        const results = await mailbox.append(items)
        const again: NewMessage[] = []
        for (const [i, item] of items.entries()) {
          const result = results[i]
          if (result?.ok === true) epochs.set(item.device, result.epoch)
          else again.push(item)
        }
        if (again.length === 0) return
        if (tries === TRIES) {
          refused += again.length
          return
        }
        retried += again.length
        items = again
        await delay(RETRY_MS)
      }
    }
    const ackAll = async (n: number) => {
      const all = Array.from({ length: batch }, (_, i) => idOf((n * batch + i) % devices))
      await mailbox.ack(all.map((device) => ({ device, position: { epoch: epochs.get(device) ?? '', seq: 2 ** 40 } })))
    }
    await work(redis, Math.ceil(devices / batch), callers, batch, append(false))
    const appends = await work(redis, calls, callers, batch, append(false))
    const acks = await work(redis, Math.ceil(devices / batch), callers, batch, ackAll)
    const dedupAppends = await work(redis, calls, callers, batch, append(true))
    const heads = await work(redis, Math.ceil(devices / batch), callers, batch, async (n) => {
      await mailbox.heads(
        Array.from({ length: batch }, (_, i) => ({ device: idOf((n * batch + i) % devices), acked: null })),
      )
    })
    await store.close()
    return { refused, retried, appends, dedupAppends, acks, heads }
  })
}

const openStore = (redis: BenchRedis) =>
  openRedisStore({
    url: redis.url,
    limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 10_000_000, inboxMaxBytes: 2 ** 40 },
    log: createLogger({ level: 'error' }),
    allowNoAof: true,
  })

/** But for the log of events, which is bounded: each of these devices is away while something waits for it. */
async function usedMemory({ admin }: BenchRedis): Promise<number> {
  const used = Number(/^used_memory:(\d+)/m.exec(await admin.info('memory'))?.[1] ?? 0)
  return used - Number(await admin.memory('USAGE', EVENTS_KEY, 'SAMPLES', 0))
}

async function inChunks(count: number, call: (numbers: readonly number[]) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n += 500) {
    await call(Array.from({ length: Math.min(500, count - n) }, (_, i) => n + i))
  }
}

/** Bytes of Redis (used_memory) for each thing, and what MEMORY USAGE says of the keys of one device. */
async function memory(options: Options, { scope }: ScenarioContext) {
  return within(scope, async (round) => {
    const redis = await startRedis(round, ['--appendonly', 'no'])
    const store = await openStore(redis)
    const { mailbox }: { readonly mailbox: Mailbox } = store
    const count = options.memoryDevices
    const payload = Buffer.alloc(options.payloadBytes, 'x')
    let before = await usedMemory(redis)
    const since = async (each: number): Promise<number> => {
      const now = await usedMemory(redis)
      const bytes = rounded((now - before) / each)
      before = now
      return bytes
    }
    const push = (numbers: readonly number[], dedup: string | null) =>
      mailbox.append(numbers.map((n) => messageTo(idOf(n), payload, dedup)))
    await inChunks(count, async (numbers) => {
      const results = await push(numbers, null)
      await mailbox.ack(
        results.flatMap((result, i) =>
          result.ok ? [{ device: idOf(numbers[i] ?? 0), position: { epoch: result.epoch, seq: result.seq } }] : [],
        ),
      )
    })
    const emptyInbox = await since(count)
    await inChunks(count, (numbers) => push(numbers, null))
    const firstPending = await since(count)
    await inChunks(count, (numbers) => push(numbers, null))
    const secondPending = await since(count)
    for (let n = 0; n < 8; n++) await inChunks(count, (numbers) => push(numbers, null))
    const furtherPending = rounded((await since(count)) / 8)
    const dedupId = 'order-0000000000'
    await inChunks(count, (numbers) => push(numbers, `${dedupId}0`))
    const firstDedup = (await since(count)) - furtherPending
    for (let n = 1; n < 10; n++) await inChunks(count, (numbers) => push(numbers, `${dedupId}${n}`))
    const furtherDedup = rounded((await since(count)) / 9) - furtherPending
    const usage = async (key: string) => Number(await redis.admin.memory('USAGE', key, 'SAMPLES', 0))
    const id = idOf(1)
    const record = await usage(`pr:{${id}}`)
    const list = await usage(`pr:{${id}}:m`)
    await store.close()
    return { emptyInbox, firstPending, secondPending, furtherPending, firstDedup, furtherDedup, record, listOf20: list }
  })
}

export const redisStore = defineScenario(
  'redis-store',
  'the Redis store alone: appends, acks and heads a second with the CPU of both sides, and bytes of memory',
  spec,
  async (options, context) => {
    const speed = await throughput(options, context)
    context.say(`${speed.appends.perSecond} appends/s`)
    const bytes = await memory(options, context)
    return { clean: speed.refused === 0, report: { ...speed, memoryBytes: bytes } }
  },
)
