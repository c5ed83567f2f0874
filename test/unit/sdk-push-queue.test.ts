import t from 'tap'
import { readRetryAfter } from '../../sdk/server/http-call.js'
import { readPushOptions } from '../../sdk/server/options.js'
import { PushError } from '../../sdk/server/push-error.js'
import { createPushClient } from '../../sdk/server.js'
import { settle } from '../support/sdk/handling-rig.js'
import { accepted, PushRig, refusal } from '../support/sdk/push-rig.js'

const overloaded = (retryAfterMs: number | null = null): PushError =>
  new PushError('overloaded', 'later', { status: 503, retryAfterMs })

void t.test('SDK push: messages of 2 ms make one request, full ones go at once', async (t) => {
  const rig = new PushRig()
  rig.send('a', 1)
  rig.send('b', 2)
  await settle()
  rig.clock.advance(1)
  await settle()
  t.equal(rig.sent.length, 0)
  rig.clock.advance(1)
  await settle()
  t.same(await rig.requests(0), [[1, 2]])
  for (let i = 0; i < 4; i++) rig.send(`c${i}`, i)
  t.same(await rig.requests(0), [[0, 1, 2, 3]], 'by count')
  const large = new PushRig({ bytes: 1_000 })
  large.send('a', 'x'.repeat(400))
  large.send('b', 'y'.repeat(400))
  large.send('c', 'z'.repeat(2_000))
  t.same(
    (await large.requests(0)).map((items) => items.length),
    [2, 1],
    'by bytes; a large one goes alone',
  )
})

void t.test('SDK push: a device’s messages are in one request at a time, others go beside it', async (t) => {
  const rig = new PushRig()
  const results = [rig.push('a', 1), rig.push('a', 2)]
  const first = await rig.next()
  results.push(rig.push('a', 3))
  rig.send('b', 4)
  t.same(await rig.requests(), [[4]])
  first.answer(accepted(first))
  t.same(await rig.requests(), [[3]])
  t.match(await Promise.all(results.slice(0, 2)), [
    { device: 'a', seq: 1, epoch: 'e', duplicate: false },
    { device: 'a', seq: 2 },
  ])
})

void t.test('SDK push: at most so many requests at once', async (t) => {
  const rig = new PushRig({ count: 1 })
  for (let i = 0; i < 5; i++) rig.send(`d${i}`, i)
  await settle()
  t.equal(rig.sent.length, 2)
  const [first] = rig.sent
  first?.answer(accepted(first))
  await settle()
  t.equal(rig.sent.length, 3)
})

void t.test('SDK push: what may not have arrived is sent again with the same dedup ids, in order', async (t) => {
  const rig = new PushRig()
  const results = [rig.push('a', 1), rig.push('a', 2, { dedupId: 'mine' }), rig.push('b', 3)]
  const first = await rig.next()
  first.fail(new PushError('network', 'broken'))
  results.push(rig.push('a', 4))
  await settle()
  rig.clock.advance(99)
  await settle()
  t.equal(rig.sent.length, 0)
  const again = await rig.next(1)
  t.same(
    again.items.map(({ device, payload }) => `${device}${String(payload)}`),
    ['a1', 'a2', 'a4', 'b3'],
  )
  t.same(
    again.items.filter(({ payload }) => payload !== 4).map(({ dedupId }) => dedupId),
    first.items.map(({ dedupId }) => dedupId),
  )
  t.equal(again.items[1]?.dedupId, 'mine')
  again.answer(accepted(again))
  t.equal((await Promise.all(results)).length, 4)
})

void t.test('SDK push: Retry-After is honoured, for all that waits', async (t) => {
  const rig = new PushRig()
  rig.send('a', 1)
  const first = await rig.next()
  first.fail(overloaded(5_000))
  rig.send('b', 2)
  t.same(await rig.requests(4_999), [])
  t.same(
    (await rig.requests(1)).flat().toSorted((a, b) => Number(a) - Number(b)),
    [1, 2],
  )
  t.equal(
    readRetryAfter('7', () => 0),
    7_000,
  )
  t.equal(
    readRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', () => 4_000),
    5_000,
  )
  t.equal(
    readRetryAfter('Thu, 01 Jan 1970 00:00:01 GMT', () => 4_000),
    0,
  )
  t.equal(
    readRetryAfter('soon', () => 0),
    null,
  )
  t.equal(
    readRetryAfter(null, () => 0),
    null,
  )
})

void t.test('SDK push: a device that cannot be stored now waits alone, its messages in order', async (t) => {
  const rig = new PushRig()
  const [one, two] = [rig.push('a', 1), rig.push('a', 2)]
  const other = rig.push('b', 3)
  const first = await rig.next()
  rig.send('a', 4)
  first.answer({
    results: [refusal('store_unavailable'), refusal('outcome_unknown'), { device: 'b', seq: 3, epoch: 'e' }],
  })
  t.match(await other, { seq: 3 })
  rig.send('b', 5)
  t.same(await rig.requests(2), [[5]])
  const again = await rig.next(98)
  t.same(
    again.items.map(({ payload }) => payload),
    [1, 2, 4],
  )
  again.answer(accepted(again))
  t.match(await Promise.all([one, two]), [{ seq: 1 }, { seq: 2 }])
})

void t.test('SDK push: what would come after a later message of its device is not tried again', async (t) => {
  const rig = new PushRig()
  const one = rig.push('a', 1)
  const two = rig.push('a', 2)
  const first = await rig.next()
  first.answer({ results: [refusal('store_unavailable'), { device: 'a', seq: 2, epoch: 'e' }] })
  t.match(await two, { seq: 2 })
  await t.rejects(one, { code: 'store_unavailable', retryable: true })
})

void t.test('SDK push: a refusal that no retry mends is told, and stops nothing else', async (t) => {
  const rig = new PushRig()
  const results = [rig.push('a', 1), rig.push('a', 2), rig.push('b', 3)]
  const first = await rig.next()
  first.answer({
    results: [refusal('dedup_conflict'), { device: 'a', seq: 2, epoch: 'e', duplicate: true }, refusal('inbox_full')],
  })
  const [conflict, duplicate, full] = results
  await t.rejects(Promise.resolve(conflict), { code: 'dedup_conflict', retryable: false })
  t.match(await duplicate, { duplicate: true })
  await t.rejects(Promise.resolve(full), { code: 'inbox_full', retryable: true }, 'the caller decides')

  const patient = new PushRig({ retryInboxFull: true })
  const waits = patient.push('a', 1)
  const refused = await patient.next()
  refused.answer({ results: [refusal('inbox_full')] })
  const again = await patient.next(100)
  again.answer(accepted(again))
  t.match(await waits, { seq: 1 })

  const locked = new PushRig()
  const all = [locked.push('a', 1), locked.push('b', 2)]
  const unheard = await locked.next()
  unheard.fail(new PushError('unauthorized', 'no key', { status: 401 }))
  for (const each of all) await t.rejects(each, { code: 'unauthorized' })
})

void t.test('SDK push: a request that is too large is sent in smaller ones', async (t) => {
  const rig = new PushRig()
  for (let i = 0; i < 4; i++) rig.send(`d${i}`, i)
  const first = await rig.next(0)
  first.fail(new PushError('body_too_large', 'too large', { status: 413 }))
  t.same(
    (await rig.requests()).map((items) => items.length),
    [2, 2],
  )
  const alone = new PushRig()
  const result = alone.push('a', 1)
  const one = await alone.next()
  one.fail(new PushError('payload_too_large', 'too large', { status: 413 }))
  await t.rejects(result, { code: 'payload_too_large' })
})

void t.test('SDK push: nothing is tried again for longer than was asked for', async (t) => {
  const rig = new PushRig({ retryForMs: 1_000 })
  const result = rig.push('a', 1)
  const first = await rig.next()
  first.fail(overloaded(2_000))
  await t.rejects(result, { code: 'overloaded' }, 'not even waited for')
  const slow = new PushRig({ retryForMs: 1_000 })
  const other = slow.push('a', 1)
  let requests = 0
  while (slow.queue.waiting > 0) {
    const sent = await slow.next(requests === 0 ? 2 : 10_000)
    requests++
    sent.fail(new PushError('network', 'down'))
    await settle()
  }
  await t.rejects(other, { code: 'network' })
  t.ok(requests >= 1)
  const never = new PushRig({ retryForMs: 0 })
  const once = never.push('a', 1)
  const only = await never.next(0).catch(() => never.next(2))
  only.fail(new PushError('network', 'down'))
  await t.rejects(once, { code: 'network' })
})

void t.test('SDK push: a signal takes back what has not left', async (t) => {
  const rig = new PushRig()
  const abort = new AbortController()
  const gone = rig.queue.push({ device: 'a', payload: 1 }, abort.signal)
  rig.send('a', 2)
  abort.abort(new Error('changed my mind'))
  await t.rejects(gone, /changed my mind/)
  t.same(await rig.requests(), [[2]])
  await t.rejects(rig.queue.push({ device: 'a', payload: 1 }, AbortSignal.abort(new Error('before'))), /before/)

  const only = new PushRig()
  const second = new AbortController()
  const alone = only.queue.push({ device: 'a', payload: 1 }, second.signal)
  second.abort(new Error('alone'))
  await t.rejects(alone, /alone/)
  t.same(await only.requests(), [])
  only.send('a', 3)
  t.same(await only.requests(), [[3]], 'and the device goes on')
})

void t.test('SDK push: the queue is bounded, by count and bytes', async (t) => {
  const rig = new PushRig({ maxQueued: 2 })
  rig.send('a', 1)
  rig.send('a', 2)
  await t.rejects(rig.push('a', 3), { code: 'queue_full' })
  const bytes = new PushRig({ maxQueuedBytes: 1_000 })
  bytes.send('a', 'x'.repeat(800))
  await t.rejects(bytes.push('a', 'x'.repeat(800)), { code: 'queue_full' })
})

void t.test('SDK push: closing sends what waits at once, and takes nothing more', async (t) => {
  const rig = new PushRig()
  const result = rig.push('a', 1)
  const closed = rig.queue.close()
  await t.rejects(rig.push('a', 2), { code: 'closed' })
  const first = await rig.next(0)
  first.answer(accepted(first))
  await closed
  t.match(await result, { seq: 1 })
  t.equal(rig.clock.next, null)
  await new PushRig().queue.close()

  const left = new PushRig()
  const sent = left.push('a', 1)
  const flying = await left.next()
  const waits = left.push('a', 2)
  const done = left.queue.close()
  left.queue.abandon(new PushError('closed', 'enough'))
  await t.rejects(waits, { code: 'closed' })
  flying.fail(new PushError('network', 'broken'))
  await t.rejects(sent, { code: 'closed' })
  await done
})

void t.test('SDK push: an answer that is none is an error, not a hang', async (t) => {
  for (const body of [
    null,
    7,
    {},
    { results: 'x' },
    { results: [] },
    { results: [7] },
    { results: [{}] },
    { results: [{ error: 7 }] },
  ]) {
    const rig = new PushRig()
    const result = rig.push('a', 1)
    const sent = await rig.next()
    sent.answer(body)
    await t.rejects(result, { code: 'bad_answer' }, JSON.stringify(body))
  }
})

void t.test('SDK push: each wrong option or argument is refused by its name', async (t) => {
  const good = { url: 'http://127.0.0.1:1', apiKey: 'k' }
  const wrong: ReadonlyArray<readonly [object, RegExp]> = [
    [{ url: undefined }, /^url: a URL/],
    [{ url: 'ftp://a' }, /^url: http/],
    [{ url: 'http://u:p@a' }, /^url: without a user name/],
    [{ url: 'http://a?x=1' }, /^url: without a query/],
    [{ apiKey: '' }, /^apiKey: /],
    [{ apiKey: 'a\nb' }, /^apiKey: /],
    [{ batch: { count: 1_001 } }, /^batch.count: /],
    [{ batch: { bytes: 0 } }, /^batch.bytes: /],
    [{ batch: { delayMs: -1 } }, /^batch.delayMs: /],
    [{ batch: { size: 1 } }, /^batch.size: there is no such option/],
    [{ concurrency: 0 }, /^concurrency: /],
    [{ retry: { forMs: -1 } }, /^retry.forMs: /],
    [{ retry: { minMs: 0 } }, /^retry.minMs: /],
    [{ retry: { minMs: 10, maxMs: 5 } }, /^retry.maxMs: /],
    [{ retry: { inboxFull: 'yes' } }, /^retry.inboxFull: /],
    [{ requestTimeoutMs: 0 }, /^requestTimeoutMs: /],
    [{ maxQueued: 0 }, /^maxQueued: /],
    [{ maxQueuedBytes: 0.5 }, /^maxQueuedBytes: /],
    [{ fetch: 7 }, /^fetch: /],
    [{ key: 'x' }, /^key: there is no such option/],
  ]
  for (const [more, message] of wrong) {
    t.throws(() => readPushOptions({ ...good, ...more }), { code: 'bad_option', message }, JSON.stringify(more))
  }
  const rig = new PushRig()
  for (const [device, payload, more] of [
    ['a/b', 1, {}],
    ['a', undefined, {}],
    ['a', 7n, {}],
    ['a', 1, { dedupId: '' }],
    ['a', 1, { deliverAt: 1 }],
  ] as const) {
    await t.rejects(rig.queue.push({ device, payload, ...more }), { code: 'bad_option' })
  }
  const client = createPushClient(good)
  const call = (method: 'pushMany' | 'state' | 'cancel', argument: unknown): Promise<unknown> =>
    Promise.resolve(Reflect.apply(Reflect.get(client, method), client, [argument]))
  for (const value of [undefined, null, 'a']) {
    await t.rejects(call('pushMany', [{ device: 'a', payload: 1 }, value]), { code: 'bad_option', message: /^items: / })
    await t.rejects(call('state', value), { code: 'bad_option' })
    await t.rejects(call('cancel', value), { code: 'bad_option' })
  }
})
