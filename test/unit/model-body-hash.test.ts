import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import { bodyHash, dedupIdHash } from '../../core/model/body-hash.js'
import { messageSize, type NewMessage } from '../../core/model/message.js'
import { message } from '../conformance/messages.js'

const text = fc.oneof(fc.string({ maxLength: 4, unit: fc.constantFrom('a', '1', ':', '\u0000', 'é') }), fc.string())
const anyAttributes = fc.option(
  fc
    .uniqueArray(fc.tuple(text, text), { selector: ([key]) => key, maxLength: 4 })
    .map((pairs) => pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))),
)
const anyBody: fc.Arbitrary<NewMessage> = fc
  .record({
    payload: fc.uint8Array({ maxLength: 8 }),
    contentType: text,
    attributes: anyAttributes,
    ttl: fc.option(fc.nat(200)),
    priority: fc.constantFrom('normal' as const, 'high' as const),
    receipt: fc.boolean(),
  })
  .map((fields) => message('d', fields))

/** The parts of a body that a dedup id stands for, in a form without ambiguity. */
const parts = (m: NewMessage): string =>
  JSON.stringify([
    Buffer.from(m.payload).toString('hex'),
    m.contentType,
    m.attributes === null || m.attributes.length === 0 ? null : m.attributes,
    m.ttl,
    m.priority,
    m.receipt === true,
  ])

t.test('body hash: 16 bytes, the same for the same body, whatever device and dedup id', async (t) => {
  const a = message('a', { dedupId: 'x', payload: 'p', attributes: [['k', 'v']] })
  const b = message('b', { dedupId: 'y', payload: 'p', attributes: [['k', 'v']] })
  t.equal(bodyHash(a).byteLength, 16)
  t.ok(bodyHash(a).equals(bodyHash(b)))
})

t.test('body hash: two bodies have one hash exactly when they are the same', async (t) => {
  fc.assert(
    fc.property(anyBody, anyBody, (a, b) => {
      assert.equal(bodyHash(a).equals(bodyHash(b)), parts(a) === parts(b))
      assert.ok(bodyHash(a).equals(bodyHash({ ...a, payload: Uint8Array.from(a.payload) })))
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('body hash: bytes cannot move from one part to its neighbour', async (t) => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', ':', '1', '2', '\u0000'), maxLength: 12 }),
      fc.nat(12),
      fc.nat(12),
      (s, i, j) => {
        const at = (n: number): readonly [string, string] => [s.slice(0, n), s.slice(n)]
        const asPayload = (n: number) => bodyHash(message('d', { contentType: at(n)[0], payload: at(n)[1] }))
        const asPair = (n: number) => bodyHash(message('d', { attributes: [at(n)] }))
        const same = Math.min(i, s.length) === Math.min(j, s.length)
        assert.equal(asPair(i).equals(asPair(j)), same, 'attribute key and value')
        assert.equal(asPayload(i).equals(asPayload(j)), same, 'content type and payload')
      },
    ),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('body hash: a part that looks like others is not taken for them', async (t) => {
  const same = (a: NewMessage, b: NewMessage) => bodyHash(a).equals(bodyHash(b))
  const attributes = message('d', { payload: 'rest', attributes: [['k', 'v']] })
  t.notOk(same(attributes, message('d', { payload: '1:k1:v\u0000rest' })), 'attributes in the payload')
  t.notOk(
    same(
      message('d', { contentType: 'a', payload: '\u0000normal\u0000p' }),
      message('d', { contentType: 'a\u0000\u0000normal', payload: 'p' }),
    ),
    'a content type with everything in it',
  )
})

t.test('body hash: stays what it was, because stored hashes are compared with it', async (t) => {
  const m = message('d', { payload: 'hello', attributes: [['k', 'v']], ttl: 60, priority: 'high' })
  t.equal(bodyHash(message('d')).toString('hex'), 'af96212384505efe9d5b6141346bb015')
  t.equal(bodyHash(m).toString('hex'), '76ec7a56cdf79188425781ad4bee1fa0')
  t.equal(dedupIdHash('order-1').toString('hex'), '0bafe22156d2698c143b86040446d366')
})

t.test('dedup id hash: 16 bytes of the UTF-8 text', async (t) => {
  t.equal(dedupIdHash('').byteLength, 16)
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => dedupIdHash(a).equals(dedupIdHash(b)) === (a === b)))
})

t.test('message size: payload, content type, attributes and dedup id, plus 64', async (t) => {
  t.equal(messageSize(message('d', { payload: '', contentType: '' })), 64)
  const m = message('d', {
    payload: 'é',
    contentType: 'a/b',
    dedupId: 'xy',
    attributes: [
      ['k', 'vv'],
      ['', '12345'],
    ],
  })
  t.equal(messageSize(m), 64 + 2 + 3 + 2 + 3 + 5)
})
