// What is in Redis: nothing that is needed no more stays there.

import t, { type Test } from 'tap'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { NEWEST_FORMAT } from '../../core/stores/redis/formats.js'
import { deviceKeys, deviceRecordKey, indexKey, indexShardOf } from '../../core/stores/redis/keys.js'
import { openRedisStore, type RedisStoreOptions } from '../../core/stores/redis/open.js'
import { scriptSettings } from '../../core/stores/redis/device-scripts.js'
import { loadScripts } from '../../core/stores/redis/script-loader.js'
import { DEFAULT_UPLINK_LIMITS } from '../../core/ports/uplink.js'
import { ack, fill, message, outline, own, push, readAll, stateOf } from '../conformance/messages.js'
import { FakeClock } from '../support/fake-clock.js'
import { noRedis, startRedis } from '../support/redis/server.js'

const skip = { skip: noRedis }

async function storeOf(t: Test, options: Partial<RedisStoreOptions> = {}) {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const store = await openRedisStore({
    url: redis.url,
    limits: DEFAULT_MAILBOX_LIMITS,
    log: createLogger({ level: 'silent' }),
    ...options,
  })
  t.teardown(() => store.close())
  return { redis: redis.admin, store, mailbox: store.mailbox }
}

t.test('redis keys: an empty inbox leaves a small record, and what goes by itself', skip, async (t) => {
  const { redis, mailbox } = await storeOf(t)
  const [record, messages, exceptions, expiries, ...dedup] = deviceKeys('phone-1')
  const first = await push(mailbox, 'phone-1', { dedupId: 'x', ttl: 600 })
  await fill(mailbox, 'phone-1', 5)
  await mailbox.cancel('phone-1', 3, null)
  t.equal(await redis.exists(messages, exceptions, expiries), 3)
  for (const key of [messages, exceptions, expiries]) t.ok((await redis.pttl(key)) > 7 * 86_400_000, key)
  await ack(mailbox, 'phone-1', { epoch: first.epoch, seq: 6 })
  t.equal(await redis.exists(messages, expiries), 0, 'nothing waits')
  const left = (await redis.keys('*phone-1*')).toSorted()
  const window = dedup.filter((key) => left.includes(key))
  t.strictSame(left, [record, exceptions, ...window].toSorted())
  t.equal(window.length, 1)
  for (const key of left) t.ok((await redis.pttl(key)) > 0, `${key} goes by itself`)
  t.ok((await redis.pttl(window[0] ?? '')) <= 2 * 86_400_000, 'two windows at most')

  await push(mailbox, 'phone-2').then((last) => ack(mailbox, 'phone-2', last))
  t.strictSame(await redis.keys('*phone-2*'), [deviceRecordKey('phone-2')])
  const bytes = Number(await redis.memory('USAGE', deviceRecordKey('phone-2')))
  t.ok(bytes <= 200, `the record takes ${bytes} bytes`)
})

t.test('redis keys: the record of a connected device stays', skip, async (t) => {
  const { redis, mailbox } = await storeOf(t)
  await own(mailbox, 'd', 'c')
  t.equal(await redis.pttl(deviceRecordKey('d')), -1)
  await push(mailbox, 'd')
  t.equal(await redis.pttl(deviceRecordKey('d')), -1)
  await mailbox.release('d', 'c')
  const days = (await redis.pttl(deviceRecordKey('d'))) / 86_400_000
  t.ok(days > 96 && days < 98, `${days} days: while something waits the retention more`)
  await mailbox.purge('d')
  t.strictSame(await redis.keys('*{d}*'), [])
})

t.test('redis keys: what a node that died may have sent is read as redelivered', skip, async (t) => {
  const { mailbox } = await storeOf(t)
  const start = await own(mailbox, 'd', 'one')
  await fill(mailbox, 'd', 2)
  await mailbox.claim('d', { node: 'another', claimId: 'two' }, { force: true })
  await push(mailbox, 'd')
  t.strictSame(outline((await readAll(mailbox, 'd', 'two', start)).entries), ['1*', '2*', '3'])
  t.equal(await stateOf(mailbox, 'd', 1), 'queued', 'it is not known, so it is not said')
  await mailbox.release('d', 'two')
  await mailbox.claim('d', { node: 'third', claimId: 'three' }, { force: true })
  t.strictSame(
    outline((await readAll(mailbox, 'd', 'three', start)).entries),
    ['1*', '2*', '3'],
    'this one was given back',
  )
})

t.test('redis keys: messages whose key went by itself were given up', skip, async (t) => {
  const clock = new FakeClock()
  const { redis, mailbox } = await storeOf(t, { clock })
  const { epoch } = await fill(mailbox, 'd', 6)
  await mailbox.cancel('d', 3, null)
  clock.advance(8 * 86_400_000)
  await redis.del(deviceKeys('d')[1])
  t.match(await mailbox.info('d'), { head: 6, cursor: 6, pending: 0, pendingBytes: 0, oldestPendingAt: null })
  t.strictSame(await Promise.all([1, 2, 3, 4, 6].map((seq) => stateOf(mailbox, 'd', seq))), [
    'retention',
    'retention',
    'cancelled',
    'retention',
    'retention',
  ])
  const start = await own(mailbox, 'd')
  await push(mailbox, 'd')
  t.strictSame(outline((await readAll(mailbox, 'd', 'claim-1', start)).entries), ['7'])
  t.match(await ack(mailbox, 'd', { epoch, seq: 7 }), { counted: true, cursor: 7, pending: 0 })
})

t.test('redis keys: exceptions are forgotten behind the retention, and their key with them', skip, async (t) => {
  const clock = new FakeClock()
  const { redis, mailbox } = await storeOf(t, { clock })
  const { epoch } = await fill(mailbox, 'd', 4)
  await mailbox.cancel('d', 2, null)
  await ack(mailbox, 'd', { epoch, seq: 4 })
  t.equal(await stateOf(mailbox, 'd', 2), 'cancelled')
  clock.advance(16 * 86_400_000)
  t.equal(await stateOf(mailbox, 'd', 2), 'gone')
  t.equal(await stateOf(mailbox, 'd', 1), 'gone', 'whether it was one is not known any more')
  t.equal(await stateOf(mailbox, 'd', 3), 'handled')
  t.equal(await redis.exists(deviceKeys('d')[2]), 0)
})

t.test('redis keys: an id that a crash kept out of the index is there after the next use', skip, async (t) => {
  const { store, redis, mailbox } = await storeOf(t)
  const scripts = loadScripts(scriptSettings(DEFAULT_MAILBOX_LIMITS, DEFAULT_UPLINK_LIMITS))
  await store.connections.run({
    script: scripts('ensure'),
    keys: deviceKeys('d'),
    args: ['', 'generation', 'epoch'],
    durable: false,
  })
  t.strictSame(await mailbox.list({ after: null, limit: 9 }), { devices: [], next: null })
  await push(mailbox, 'd')
  t.match(await mailbox.list({ after: null, limit: 9 }), { devices: [{ device: 'd' }], next: null })
  // And the other way round: a record that went by itself.
  await redis.del(deviceRecordKey('d'))
  t.strictSame(await mailbox.list({ after: null, limit: 9 }), { devices: [], next: null })
  t.equal(await redis.zcard(indexKey(indexShardOf('d'))), 0)
})

t.test('redis keys: of devices in one call, one whose record is of a newer version fails alone', skip, async (t) => {
  const { redis, mailbox } = await storeOf(t)
  const devices = Array.from({ length: 150 }, (_, i) => `d${i}`)
  const { epoch } = await push(mailbox, 'd7')
  // A MessagePack array of one number, its format.
  await redis.set(deviceRecordKey('d77'), Buffer.from([0x91, NEWEST_FORMAT + 1]))
  const results = await mailbox.append(devices.map((device) => message(device)))
  t.strictSame(
    results.flatMap((result, i) => (result.ok ? [] : [[i, result.code]])),
    [[77, 'store_unavailable']],
  )
  t.match(results[7], { ok: true, seq: 2, epoch })
  t.equal(await redis.exists(deviceKeys('d77')[1]), 0, 'nothing of it was stored')
  t.strictSame(await mailbox.ack([{ device: 'd7', position: { epoch, seq: 1 } }]), [
    { counted: true, cursor: 1, pending: 1 },
  ])
  await t.rejects(
    mailbox.ack(['d77', 'd7'].map((device) => ({ device, position: { epoch, seq: 2 } }))),
    { code: 'store_unavailable' },
    'an ack of several devices is told as one',
  )
  t.match(await mailbox.info('d7'), { cursor: 2 }, 'and the others are acknowledged')
})

t.test('redis keys: dedup ids are found in the window before, and forgotten behind it', skip, async (t) => {
  const clock = new FakeClock()
  const { redis, mailbox } = await storeOf(t, { clock })
  const ids = (dedupId: string) => push(mailbox, 'd', { dedupId })
  const day = 86_400_000
  clock.advance(day - (clock.now() % day)) // a window begins
  const first = await ids('a')
  clock.advance(day - 1000)
  await ids('b')
  clock.advance(2000) // the next one
  t.match(await mailbox.append([message('d', { dedupId: 'b' })]), [{ duplicate: true, seq: 2 }])
  t.match(await mailbox.append([message('d', { dedupId: 'c' })]), [{ duplicate: false, seq: 3 }])
  t.match(await mailbox.append([message('d', { dedupId: 'b' })]), [{ duplicate: true, seq: 2 }])
  t.match(await mailbox.append([message('d', { dedupId: 'a' })]), [{ duplicate: false, seq: 4 }], 'a day old')
  clock.advance(day - 1000) // the next one: 'b' is older than a day now, 'c' and the second 'a' are in the window before
  t.match(await mailbox.append([message('d', { dedupId: 'a' })]), [{ duplicate: true, seq: 4 }])
  t.match(await mailbox.append([message('d', { dedupId: 'b' })]), [{ duplicate: false, seq: 5 }])
  clock.advance(1000 - day) // another master's clock: nothing is forgotten early
  t.match(await mailbox.append([message('d', { dedupId: 'b' })]), [{ duplicate: true, seq: 5 }])
  t.match(await mailbox.append([message('d', { dedupId: 'c' })]), [{ duplicate: true, seq: 3 }])
  clock.advance(4 * day)
  t.match(await mailbox.append([message('d', { dedupId: 'b' })]), [{ duplicate: false, seq: 6 }])
  for (const key of deviceKeys('d').slice(4)) t.ok((await redis.pttl(key)) !== -1, `${key} goes by itself`)
  t.equal(first.seq, 1)
})
