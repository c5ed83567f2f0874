import tap from 'tap'
import { decode } from '@msgpack/msgpack'
import { decodeDeviceFrame } from '../../protocol/frames/device-frames.js'
import { FRAME_ERRORS, FrameError } from '../../protocol/frames/frame-error.js'
import type { Frame } from '../../protocol/frames/frame-types.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'
import { readRepositoryFile, sectionOf, tableRows } from '../support/repository.js'
import { encodeFrame, toVectorValue, vectorFiles, type VectorFile } from '../support/frames/vectors.js'

type Decode = (bytes: Uint8Array) => Frame

const DECODERS: Readonly<Record<VectorFile['direction'], readonly Decode[]>> = {
  device: [decodeDeviceFrame],
  server: [decodeServerFrame],
  both: [decodeDeviceFrame, decodeServerFrame],
}

function refusal(decodeFrame: Decode, bytes: Uint8Array): unknown {
  try {
    return decodeFrame(bytes)
  } catch (error) {
    return error
  }
}

const files = vectorFiles()

await tap.test('frames: there are vectors for every frame, good and bad ones', async (t) => {
  t.same(
    files.map(({ frame }) => frame),
    ['ack', 'any', 'bye', 'data', 'gap', 'hello', 'reset', 'uplink', 'welcome'],
  )
  for (const { frame, valid, invalid } of files) {
    t.ok(invalid.length > 10, `${frame}: bad ones`)
    if (frame !== 'any') t.ok(valid.length > 1, `${frame}: good ones`)
    const names = [...valid, ...invalid].map(({ name }) => name)
    t.equal(new Set(names).size, names.length, `${frame}: names are unique`)
  }
})

for (const { frame, direction, valid, invalid } of files) {
  await tap.test(`frames: the vectors of ${frame}`, async (t) => {
    for (const vector of valid) {
      for (const decodeFrame of DECODERS[direction]) {
        const decoded = decodeFrame(vector.bytes)
        t.strictSame(toVectorValue(decoded), vector.value, `${vector.name}: decodes`)
        const encoded = Buffer.from(encodeFrame(decoded)).toString('hex')
        if (vector.canonical) t.equal(encoded, Buffer.from(vector.bytes).toString('hex'), `${vector.name}: encodes`)
        else t.strictSame(decodeFrame(Buffer.from(encoded, 'hex')), decoded, `${vector.name}: means the same`)
      }
    }
    for (const vector of invalid) {
      for (const decodeFrame of DECODERS[direction]) {
        const error = refusal(decodeFrame, vector.bytes)
        if (!(error instanceof FrameError)) t.fail(`${vector.name}: is refused`)
        else t.strictSame([error.code, error.path], [vector.code, vector.path], `${vector.name}: is refused`)
      }
    }
  })
}

await tap.test('frames: every error code has a vector, and a row in docs/wire.md', async (t) => {
  const codes = Object.keys(FRAME_ERRORS).toSorted()
  const used = new Set(files.flatMap(({ invalid }) => invalid.map(({ code }) => code)))
  t.same([...used].toSorted(), codes)
  const rows = tableRows(sectionOf(readRepositoryFile('docs/wire.md'), 'What makes bytes no frame'))
  t.same(rows.map(([code = '']) => code.replaceAll('`', '')).toSorted(), codes)
})

await tap.test('frames: the good vectors are ordinary MessagePack', async (t) => {
  for (const { frame, valid } of files) {
    for (const { name, bytes } of valid) {
      if (name.includes('__proto__')) continue // this decoder refuses the key
      const value = decode(bytes)
      t.match(value, { t: frame }, `${frame}: ${name}`)
    }
  }
})
