// `postrider migrate` between kinds of stores: killed in the middle and run again; afterwards every device goes on where it was.

import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import type { Credentials } from '../../core/ports/credentials.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox } from '../../core/ports/mailbox.js'
import type { Uplink } from '../../core/ports/uplink.js'
import type { WebhookStore } from '../../core/ports/webhook-store.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { openMongoStore } from '../../core/stores/mongodb/open.js'
import { openRedisStore } from '../../core/stores/redis/open.js'
import { accepted, ack, message, outline, own, push, range, readAll } from '../conformance/messages.js'
import { runCommand, startCommand } from '../support/command.js'
import { noMongo, startMongo } from '../support/mongodb/server.js'
import { noRedis, startRedis } from '../support/redis/server.js'

const DEVICES = 150
const NO_PORTS = ['--mqtt-port', '0', '--ws-port', '0', '--http-port', '0', '--admin-port', '0']
const SECRETS = {
  POSTRIDER_API_KEY: 'a-key-for-this-test-alone-0123456789',
  POSTRIDER_TOKEN_SECRET: 'a-secret-for-this-test-alone-0123456789-abc',
}
const limits = DEFAULT_MAILBOX_LIMITS
const log = createLogger({ level: 'silent' })

interface Ports {
  readonly mailbox: Mailbox
  readonly credentials: Credentials
  readonly uplink: Uplink
  readonly webhooks: WebhookStore
  close(): Promise<void>
}
interface Place {
  readonly store: string
  open(): Promise<Ports>
}
const KINDS = {
  lmdb: async (t: Test): Promise<Place> => {
    const path = mkdtempSync(join(tmpdir(), 'postrider-migrate-'))
    t.teardown(() => rmSync(path, { recursive: true, force: true }))
    return { store: `file:${path}`, open: () => openLmdbStore({ path, durability: 'disk', limits, log }) }
  },
  redis: async (t: Test): Promise<Place> => {
    const { url, stop } = await startRedis().then((redis) => ({ url: redis.url, stop: () => redis.stop() }))
    t.teardown(stop)
    return { store: url, open: () => openRedisStore({ url, limits, log }) }
  },
  mongodb: async (t: Test): Promise<Place> => {
    const mongo = await startMongo()
    const name = `postrider_test_${randomBytes(4).toString('hex')}`
    t.teardown(async () => {
      await mongo.admin.db(name).dropDatabase()
      await mongo.stop()
    })
    const url = mongo.url(name)
    return { store: url, open: () => openMongoStore({ url, limits, log }) }
  },
} as const
type Kind = keyof typeof KINDS

const skipOf = (kinds: readonly Kind[]): string | false =>
  (kinds.includes('mongodb') && noMongo) || (kinds.includes('redis') && noRedis)

const pushed = (device: string, seq: number) =>
  message(device, {
    payload: `${device} ${seq}`,
    dedupId: `id-${seq}`,
    ...(seq % 5 === 0 ? { receipt: true } : {}),
    ...(seq % 7 === 0 ? { ttl: 3_600, attributes: [['a', 'ä']] } : {}),
    ...(seq % 3 === 0 ? { priority: 'high' } : {}),
  })
const nameOf = (i: number): string => `device-${i}`
/** How many messages a device has, and how many of them it has handled. */
const countOf = (i: number): number => 5 + (i % 20) * 5
const handledBy = (i: number): number => (i % 4) * 3

/** Answers the position of each device, by number. */
async function fill({ mailbox, credentials, uplink, webhooks }: Ports) {
  const epochs: string[] = []
  for (let i = 0; i < DEVICES; i++) {
    const device = nameOf(i)
    const results = (await mailbox.append(range(1, countOf(i)).map((seq) => pushed(device, seq)))).map(accepted)
    const epoch = results[0]?.epoch ?? ''
    epochs.push(epoch)
    await own(mailbox, device, 'c')
    if (handledBy(i) > 0) await ack(mailbox, device, { epoch, seq: handledBy(i) })
    // One in the middle is gone, and two at the front of what waits.
    await mailbox.cancel(device, countOf(i), null)
    if (i % 10 === 1) for (const seq of [1, 2]) await mailbox.cancel(device, handledBy(i) + seq, null)
    await mailbox.keepSubscription(device, 'c', i % 2 === 0 ? `push/${device}` : null)
    await mailbox.release(device, 'c')
  }
  await credentials.addKey({ id: 'key', name: 'a key', scopes: ['push'], hash: Buffer.alloc(32, 7), createdAt: 5 })
  await credentials.revoke('revoked', 1_000, Date.now() + 3_600_000)
  const sent = []
  for (const n of [1, 2, 3]) {
    const up = {
      device: 'a',
      channel: 'c',
      contentType: null,
      will: false,
      payload: Buffer.from(`${n}`),
      dedupId: null,
    }
    sent.push(...(await uplink.append([up])))
  }
  const [, second] = sent
  const webhook = {
    id: 'hook',
    url: 'https://example.org/hook',
    events: ['uplink'],
    enabled: true,
    secrets: [{ text: 'whsec_x', sealedBy: null, until: null }],
    createdAt: 1,
    updatedAt: 2,
  } as const
  await webhooks.put(webhook, null, new Map())
  const lease = await webhooks.acquire('hook', 'n', 10)
  const cursors = new Map([['uplink', second?.ok === true ? second.id : '']])
  await webhooks.commit('hook', lease?.token ?? 0, { cursors, park: [{ key: 'k', value: 'v' }], unpark: [] }, 10)
  await webhooks.release('hook', lease?.token ?? 0)
  return epochs
}

async function holds(
  t: Test,
  { mailbox, credentials, uplink, webhooks }: Ports,
  epochs: readonly string[],
): Promise<void> {
  const wrong: string[] = []
  const same = (what: string, found: unknown, wanted: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(wanted))
      wrong.push(`${what}: ${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`)
  }
  for (const [i, epoch] of epochs.entries()) {
    const device = nameOf(i)
    const head = countOf(i)
    const handled = handledBy(i)
    const cancelled = i % 10 === 1 ? [handled + 1, handled + 2, head] : [head]
    const cursor = i % 10 === 1 ? handled + 2 : handled === head - 1 ? head : handled
    const waiting = range(handled + 1, head).filter((seq) => !cancelled.includes(seq))
    const info = await mailbox.info(device)
    same(`${device} info`, [info?.head, info?.cursor, info?.pending, info?.claim], [head, cursor, waiting.length, null])
    // A retry of what was pushed before is told so, and adds nothing.
    const again = (await mailbox.append(range(1, head).map((seq) => pushed(device, seq)))).map(accepted)
    same(
      `${device} retry`,
      again.map((r) => [r.seq, r.duplicate, r.epoch]),
      range(1, head).map((seq) => [seq, true, epoch]),
    )
    const claimed = await mailbox.claim(device, { node: 'n2', claimId: 'new' }, { force: false })
    same(`${device} filter`, claimed.ok ? claimed.subscription : '', i % 2 === 0 ? `push/${device}` : null)
    const resumed = await mailbox.resume({ device, claimId: 'new', position: { epoch, seq: handled } })
    same(`${device} no reset`, resumed.kind === 'resumed' ? resumed.found : resumed.kind, 'valid')
    const position = resumed.kind === 'resumed' ? resumed.position : { epoch, seq: 0 }
    // A message that is pushed now comes behind all of them, and what waits comes once, in order.
    const next = await push(mailbox, device, { payload: `${device} ${head + 1}` })
    same(`${device} next`, next.seq, head + 1)
    const page = await readAll(mailbox, device, 'new', position)
    const got = page.entries.flatMap((entry) => (entry.kind === 'message' ? [entry] : []))
    same(
      `${device} messages`,
      got.map((entry) => entry.message.seq),
      [...waiting, head + 1],
    )
    same(
      `${device} bodies`,
      got.map((entry) => Buffer.from(entry.message.payload).toString()),
      [...waiting, head + 1].map((seq) => `${device} ${seq}`),
    )
    same(
      `${device} fields`,
      got
        .slice(0, -1)
        .map(({ message: { seq, receipt, priority, expiresAt, attributes } }) => [
          receipt === true,
          priority,
          expiresAt !== null,
          attributes,
          seq,
        ]),
      waiting.map((seq) => [
        seq % 5 === 0,
        seq % 3 === 0 ? 'high' : 'normal',
        seq % 7 === 0,
        seq % 7 === 0 ? [['a', 'ä']] : null,
        seq,
      ]),
    )
    t.ok(outline(page.entries).length > 0)
    await ack(mailbox, device, { epoch: next.epoch, seq: head + 1 })
    const after = await mailbox.info(device)
    same(`${device} empty`, [after?.pending, after?.pendingBytes, after?.cursor], [0, 0, head + 1])
  }
  t.strictSame(wrong.slice(0, 5), [])
  t.match(await credentials.getKey('key'), { name: 'a key', scopes: ['push'], createdAt: 5 })
  t.equal(await credentials.revokedAt('revoked'), 1_000)
  const page = await uplink.read({ after: null, limit: 10, maxBytes: 1_000_000 })
  t.strictSame(
    page?.uplinks.map(({ payload }) => Buffer.from(payload).toString()),
    ['1', '2', '3'],
  )
  const lease = await webhooks.acquire('hook', 'n', 1_000)
  t.equal(lease?.progress.cursors.get('uplink'), page?.uplinks[1]?.id, 'reading goes on where it was')
  t.strictSame(lease?.progress.parked, [{ key: 'k', value: 'v' }])
}

/** Devices of which Redis knows that something may expire. */
async function noted(url: string): Promise<number> {
  const redis = new Redis(url)
  try {
    const counts = await Promise.all((await redis.keys('pr-due:*')).map((key) => redis.zcard(key)))
    return counts.reduce((sum, count) => sum + count, 0)
  } finally {
    redis.disconnect()
  }
}

const ROUTES = [
  ['lmdb', 'redis'],
  ['redis', 'lmdb'],
  ['lmdb', 'mongodb'],
  ['mongodb', 'redis'],
] as const satisfies ReadonlyArray<readonly [Kind, Kind]>

for (const [kind, other] of ROUTES) {
  const title = `migrate: ${kind} to ${other}, killed in the middle and run again: every device goes on where it was`
  void t.test(title, { skip: skipOf([kind, other]) }, async (t) => {
    const from = await KINDS[kind](t)
    const to = await KINDS[other](t)
    const args = ['migrate', '--from', from.store, '--to', to.store, '--redis-no-aof']
    const source = await from.open()
    const epochs = await fill(source)
    await source.close()

    const cut = startCommand(t, args)
    await cut.until('it is under way', ({ stderr }) => /\d+ devices/.test(stderr))
    cut.signal('SIGKILL')
    t.match(await cut.exited, { signal: 'SIGKILL' })
    const early = await runCommand(
      t,
      ['serve', '--store', to.store, ...NO_PORTS, ...(other === 'redis' ? ['--redis-no-aof'] : [])],
      { env: SECRETS },
    )
    t.match(early, { code: 78, stderr: /a migration into it has not ended; run it again/ })

    const whole = await runCommand(t, args)
    t.equal(whole.code, 0, whole.stderr)
    t.match(JSON.parse(whole.stdout), {
      devices: DEVICES,
      apiKeys: 1,
      revocations: 1,
      uplinks: 3,
      webhooks: 1,
      resumed: true,
    })
    if (other === 'redis') t.equal(await noted(to.store), DEVICES, 'each is looked at when something of it may expire')
    const target = await to.open()
    t.teardown(() => target.close())
    await holds(t, target, epochs)
    t.match(
      await runCommand(t, args.with(2, to.store).with(4, from.store)),
      { code: /69|75|78/ },
      'not into one that has something',
    )
  })
}
