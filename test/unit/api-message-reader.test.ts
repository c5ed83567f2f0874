// The schemas that the OpenAPI document shows, and the hand-written reader that decides, must be the same rules.
import fastify from 'fastify'
import * as fc from 'fast-check'
import tap from 'tap'
import { FIELD_LIMITS } from '../../push-api/limits.js'
import { MessageReader, type Place } from '../../push-api/message-reader.js'
import { NAMED_SCHEMAS } from '../../push-api/schemas/all.js'
import { isDeviceId } from '../../protocol/device-id.js'
import { SourceText } from '../../push-api/source-text.js'

/** Fields with values that are often right, often nearly right, and sometimes anything. */
const text = (max: number) =>
  fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 12 }),
    fc.constantFrom(0, 1, max - 1, max, max + 1, 2 * max + 1).map((length) => 'é'.repeat(length)),
    fc.constantFrom(max, max + 1).map((length) => '😀'.repeat(length)),
  )
const base64 = fc.oneof(
  fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64')),
  fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  fc.string({ unit: fc.constantFrom('A', 'Q', 'x', '/', '+', '=', '-', ' '), maxLength: 8 }),
)
const goodDevice = fc.string({
  unit: fc.constantFrom('a', 'Z', '0', '_', ':', '@', '-'),
  minLength: 1,
  maxLength: 5,
})
// No `__proto__`: to the schema validator's `uniqueItems` two of them are no duplicates. The reader has a test of its own.
const device = fc.oneof(
  goodDevice,
  fc.string({ unit: fc.constantFrom('a', 'Z', '0', '.', '_', ':', '@', '-'), minLength: 1, maxLength: 5 }),
  fc.constantFrom('', '.', '..', '...', 'a b', 'ü', 'a/b', 'x'.repeat(128), 'x'.repeat(129), 'a\n'),
)
const anything = fc.jsonValue({ maxDepth: 1 })
const mostly = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary }, { weight: 1, arbitrary: anything })

const attributes = fc.oneof(
  fc.dictionary(text(FIELD_LIMITS.attributeKeyMax), mostly(text(FIELD_LIMITS.attributeValueMax)), { maxKeys: 3 }),
  fc
    .constantFrom(15, 16, 17)
    .map((count) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, 'v']))),
  fc.constantFrom(
    { traceparent: 'x' },
    { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
    { traceparent: '00-00000000000000000000000000000000-00f067aa0ba902b7-01' },
    { Traceparent: 'x' },
    JSON.parse('{"__proto__":"x"}'),
    JSON.parse('{"__proto__":1}'),
  ),
)

const FIELDS: Record<string, fc.Arbitrary<unknown>> = {
  payload: fc.oneof(fc.string(), fc.jsonValue()),
  payloadBase64: mostly(base64),
  contentType: mostly(
    fc.oneof(
      fc.constantFrom('text/plain', '', 'a\tb', 'ü', 'x'.repeat(255), 'x'.repeat(256)),
      fc.string({ unit: 'grapheme-ascii' }),
    ),
  ),
  dedupId: mostly(text(FIELD_LIMITS.dedupIdMax)),
  ttl: mostly(
    fc.oneof(
      fc.integer({ min: -2, max: 3 }),
      fc.constantFrom(1.5, FIELD_LIMITS.ttlMax, FIELD_LIMITS.ttlMax + 1, 1e300),
    ),
  ),
  priority: mostly(fc.constantFrom('normal', 'high', 'low')),
  receipt: mostly(fc.constantFrom(true, false, 'true')),
  attributes: mostly(attributes),
  device: mostly(device),
  devices: mostly(
    fc.array(fc.oneof({ weight: 3, arbitrary: goodDevice }, { weight: 1, arbitrary: mostly(device) }), {
      maxLength: 3,
    }),
  ),
  colour: anything,
  deliverAt: anything,
  ['__proto__']: anything,
}

/** An object with some of the fields, nearly always with a payload, and with a device where the place wants one. */
const item = (place: Place): fc.Arbitrary<unknown> => {
  const usual = place === 'single' ? ['payload'] : ['payload', 'device']
  return fc
    .tuple(
      fc.subarray(usual, { minLength: usual.length - 1 }),
      fc.subarray(Object.keys(FIELDS), { maxLength: 2 }),
      fc.boolean(),
    )
    .chain(([wanted, extra, swap]) => {
      const names = new Set([...wanted, ...extra])
      if (swap && names.delete('payload')) names.add('payloadBase64')
      if (swap && place !== 'single' && names.delete('device')) names.add('devices')
      return fc.tuple(...[...names].map((name) => fc.tuple(fc.constant(name), FIELDS[name] ?? anything)))
    })
    .map((entries) => Object.fromEntries(entries))
}

const app = fastify({ ajv: { customOptions: { coerceTypes: false, removeAdditional: false } } })
const verdicts = new Map<string, (value: unknown) => boolean>()
for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
for (const name of ['Message', 'BatchItem']) {
  app.post(`/${name}`, { schema: { body: { $ref: `${name}#` } } }, (request) => {
    const validate = request.getValidationFunction('body')
    verdicts.set(name, (value) => validate?.(value) ?? false)
    return 'ok'
  })
}

for (const [name, place] of [
  ['Message', 'single'],
  ['BatchItem', 'batch'],
] as const) {
  void tap.test(`message reader: accepts what the schema ${name} accepts, and nothing else`, async (t) => {
    const good = place === 'single' ? { payload: 'x' } : { payload: 'x', device: 'd' }
    t.equal((await app.inject({ method: 'POST', url: `/${name}`, payload: good })).statusCode, 200)
    const bySchema = verdicts.get(name)
    if (bySchema === undefined) throw new Error('the schema was not compiled')
    let accepted = 0
    let refused = 0
    fc.assert(
      fc.property(fc.oneof({ weight: 30, arbitrary: item(place) }, { weight: 1, arbitrary: anything }), (generated) => {
        const json = JSON.stringify(generated)
        const value: unknown = JSON.parse(json)
        const reader = new MessageReader(place, 256 * 1024)
        const refusal = reader.read(value, 0, new SourceText(json, 'item'))
        // numbers that do not survive are the one rule that no schema can say
        if (refusal !== null && /send it as a string/.test(refusal.message)) return true
        // an id of a fan-out that is outside the pattern fails alone, and is looked at later
        const byReader = refusal === null && (reader.devices ?? []).every(isDeviceId)
        if (byReader) accepted++
        else refused++
        return byReader === bySchema(value)
      }),
      { numRuns: 4000, seed: 20_240_607 },
    )
    t.ok(accepted > 400 && refused > 400, `both sides are exercised: ${accepted} accepted, ${refused} refused`)
  })
}

void tap.test('message reader: `__proto__` is a device like any other', (t) => {
  const reader = new MessageReader('batch', 1024)
  const read = (devices: readonly string[]) => {
    const json = JSON.stringify({ devices, payload: 'x' })
    return reader.read(JSON.parse(json), 0, new SourceText(json, 'item'))
  }
  t.equal(read(['__proto__', 'constructor']), null)
  t.match(read(['__proto__', '__proto__']), { code: 'bad_request', message: /once/ })
  t.end()
})

void tap.test('message reader: a reader keeps nothing of the message before', (t) => {
  const reader = new MessageReader('batch', 1024)
  const read = (value: unknown) => {
    const json = JSON.stringify(value)
    return reader.read(JSON.parse(json), 0, new SourceText(json, 'item'))
  }
  const full = { payload: { a: 1 }, ttl: 5, priority: 'high', dedupId: 'k', receipt: true }
  const rest = { attributes: { a: 'b' }, contentType: 'x/y' }
  t.equal(read({ devices: ['a', 'b'], ...full, ...rest }), null)
  t.match(reader.messageFor('a', 'k'), {
    ttl: 5,
    priority: 'high',
    receipt: true,
    contentType: 'x/y',
    attributes: [['a', 'b']],
  })
  t.equal(read({ device: 'c', payload: 'text' }), null)
  t.equal(reader.devices, null)
  t.strictSame(reader.messageFor('c', reader.dedupId), {
    device: 'c',
    payload: Buffer.from('text'),
    contentType: 'text/plain',
    attributes: null,
    dedupId: null,
    ttl: null,
    priority: 'normal',
    receipt: false,
  })
  t.end()
})

tap.teardown(() => app.close())
