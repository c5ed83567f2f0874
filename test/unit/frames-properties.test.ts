import tap from 'tap'
import * as fc from 'fast-check'
import { decode } from '@msgpack/msgpack'
import { encodeAck } from '../../protocol/frames/ack.js'
import { encodeData } from '../../protocol/frames/data.js'
import { decodeDeviceFrame } from '../../protocol/frames/device-frames.js'
import { FrameError } from '../../protocol/frames/frame-error.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'
import { encodeHello } from '../../protocol/frames/hello.js'
import { encodeUplink } from '../../protocol/frames/uplink.js'
import type { DataFrame, WireMessage } from '../../protocol/frames/frame-types.js'
import { vectorFiles } from '../support/frames/vectors.js'

const epoch = fc.stringMatching(/^[A-Za-z0-9_-]{11}$/)
const seq = fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.maxSafeNat())
const log = fc.oneof(
  fc.constantFrom('d:a', '__proto__', 'constructor'),
  fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }),
)
const positions = fc
  .array(fc.tuple(log, fc.tuple(epoch, seq)), { minLength: 1, maxLength: 20 })
  .map((list) => new Map(list))
const text = (min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ minLength: min, maxLength: max, unit: 'grapheme-composite' })
const bytes = fc.uint8Array({ maxLength: 400 })

const message: fc.Arbitrary<Omit<WireMessage, 'seq'>> = fc.record({
  at: seq,
  expiresAt: fc.option(seq),
  flags: fc.integer({ min: 0, max: 7 }),
  dedupId: fc.option(text(1, 60)),
  contentType: fc.option(fc.stringMatching(/^[a-z/;= -]{1,100}$/)),
  attributes: fc.option(
    fc.uniqueArray(fc.tuple(text(1, 20), text(0, 60)), { maxLength: 16, selector: ([key]) => key }),
  ),
  payload: bytes,
})

const data: fc.Arbitrary<DataFrame> = fc
  .record({
    log,
    epoch,
    prev: fc.integer({ min: 0, max: 2 ** 40 }),
    steps: fc.array(fc.tuple(fc.integer({ min: 1, max: 1_000 }), message), { minLength: 1, maxLength: 20 }),
  })
  .map(({ prev, steps, ...rest }) => {
    let last = prev
    const messages = steps.map(([step, each]) => ({ ...each, seq: (last += step) }))
    return { t: 'data', ...rest, prev, messages }
  })

/** Decodes as the server and as the device; anything thrown but FrameError fails the property. */
function decodeBoth(input: Uint8Array): number {
  let accepted = 0
  for (const decodeFrame of [decodeDeviceFrame, decodeServerFrame]) {
    try {
      decodeFrame(input)
      accepted++
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
    }
  }
  return accepted
}

await tap.test('frames: what was encoded decodes to the same', async () => {
  fc.assert(
    fc.property(positions, (acks) => {
      tap.strictSame(decodeDeviceFrame(encodeAck(acks)), { t: 'ack', acks })
    }),
    { numRuns: 200 },
  )
  fc.assert(
    fc.property(data, (frame) => {
      tap.strictSame(decodeServerFrame(encodeData(frame)), frame)
    }),
    { numRuns: 300 },
  )
})

await tap.test('frames: another MessagePack reads what is written here', async (t) => {
  fc.assert(
    fc.property(data, (frame) => {
      if (frame.messages.some(({ attributes }) => attributes?.some(([key]) => key === '__proto__'))) return
      const messages = frame.messages.map((each) => [
        each.seq,
        each.at,
        each.expiresAt,
        each.flags,
        each.dedupId,
        each.contentType,
        each.attributes === null ? null : Object.fromEntries(each.attributes),
        each.payload,
      ])
      t.strictSame(decode(encodeData(frame)), { ...frame, messages })
    }),
    { numRuns: 300 },
  )
  t.end()
})

await tap.test('frames: any bytes give a frame or a FrameError', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => void decodeBoth(input)),
    { numRuns: 5_000 },
  )
  const good = vectorFiles().flatMap(({ valid }) => valid.map((vector) => vector.bytes))
  let broken = 0
  fc.assert(
    fc.property(fc.constantFrom(...good), fc.nat(), fc.integer({ min: 0, max: 255 }), (frame, at, byte) => {
      const changed = Uint8Array.from(frame)
      changed[at % changed.length] = byte
      if (decodeBoth(changed) === 0) broken++
    }),
    { numRuns: 20_000 },
  )
  t.ok(broken > 1_000, 'many of them are refused')
})

await tap.test('frames: a frame cut anywhere is refused', async (t) => {
  for (const { valid } of vectorFiles()) {
    for (const { name, bytes: frame } of valid) {
      for (let size = 0; size < frame.length; size++) {
        if (decodeBoth(frame.subarray(0, size)) > 0) t.fail(`${name}, cut to ${size}`)
      }
    }
  }
})

await tap.test('frames: 70,000 bytes of payload, and a view into a larger buffer', async (t) => {
  const payload = Uint8Array.from({ length: 70_000 }, (_, i) => i)
  const frame = encodeUplink({ channel: 'a', id: 'b', contentType: null, payload })
  const around = new Uint8Array(frame.length + 20)
  around.set(frame, 7)
  const decoded = decodeDeviceFrame(around.subarray(7, 7 + frame.length))
  t.strictSame(decoded, { t: 'uplink', channel: 'a', id: 'b', contentType: null, payload })
})

await tap.test('frames: the device is told what the server would refuse', async (t) => {
  const hello = { cursors: new Map(), window: 64, maxFrameBytes: 65_536, sdk: '' }
  const uplink = { channel: 'a', id: 'b', contentType: null, payload: new Uint8Array() }
  const cases: ReadonlyArray<readonly [path: string, code: string, encode: () => unknown]> = [
    ['window', 'out_of_range', () => encodeHello({ ...hello, window: 0 })],
    ['window', 'out_of_range', () => encodeHello({ ...hello, window: Number.NaN })],
    ['maxFrameBytes', 'out_of_range', () => encodeHello({ ...hello, maxFrameBytes: 16_383 })],
    ['sdk', 'out_of_range', () => encodeHello({ ...hello, sdk: 'ü'.repeat(65) })],
    ['channel', 'out_of_range', () => encodeUplink({ ...uplink, channel: '' })],
    ['channel', 'bad_value', () => encodeUplink({ ...uplink, channel: 'a/#' })],
    ['id', 'out_of_range', () => encodeUplink({ ...uplink, id: '' })],
    ['contentType', 'out_of_range', () => encodeUplink({ ...uplink, contentType: '' })],
    ['', 'out_of_range', () => encodeAck(new Map([['d:a', ['e', 1.5]]]))],
    ['', 'out_of_range', () => encodeAck(new Map([['d:a', ['e', -1]]]))],
    ['', 'out_of_range', () => encodeAck(new Map([['d:a', ['e', 2 ** 53]]]))],
  ]
  for (const [path, code, encode] of cases) t.throws(encode, { name: 'FrameError', code, path })
})
