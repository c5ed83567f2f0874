// The test vectors of the wire protocol (protocol/vectors), and frames in the form that stands in them: Maps as objects,
// bytes as hex.

import { FRAME_ERRORS, type FrameErrorCode } from '../../../protocol/frames/frame-error.js'
import { encodeAck } from '../../../protocol/frames/ack.js'
import { encodeBye } from '../../../protocol/frames/bye.js'
import { encodeData } from '../../../protocol/frames/data.js'
import type { Frame } from '../../../protocol/frames/frame-types.js'
import { encodeGap } from '../../../protocol/frames/gap.js'
import { encodeHello } from '../../../protocol/frames/hello.js'
import { encodeReset } from '../../../protocol/frames/reset.js'
import { encodeUplink } from '../../../protocol/frames/uplink.js'
import { encodeWelcome } from '../../../protocol/frames/welcome.js'
import { readRepositoryFile, repositoryFiles } from '../repository.js'

export interface ValidVector {
  readonly name: string
  readonly bytes: Uint8Array
  /** True when an encoder writes exactly these bytes. */
  readonly canonical: boolean
  readonly value: unknown
}

export interface InvalidVector {
  readonly name: string
  readonly bytes: Uint8Array
  readonly code: FrameErrorCode
  readonly path: string
}

export interface VectorFile {
  readonly path: string
  readonly frame: string
  readonly direction: 'device' | 'server' | 'both'
  readonly valid: readonly ValidVector[]
  readonly invalid: readonly InvalidVector[]
}

type Json = Readonly<Record<string, unknown>>

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

function text(row: Json, key: string): string {
  const value = row[key]
  if (typeof value !== 'string') throw new TypeError(`a vector without ${key}`)
  return value
}

function rows(file: Json, key: string): readonly Json[] {
  const list = file[key]
  if (!Array.isArray(list) || !list.every(isJson)) throw new TypeError(`no list ${key}`)
  return list
}

const isCode = (code: string): code is FrameErrorCode => Object.hasOwn(FRAME_ERRORS, code)

function parseFile(path: string): VectorFile {
  const file: unknown = JSON.parse(readRepositoryFile(path))
  if (!isJson(file)) throw new TypeError(`${path} is no object`)
  const direction = text(file, 'direction')
  if (direction !== 'device' && direction !== 'server' && direction !== 'both')
    throw new TypeError(`${path}: direction`)
  return {
    path,
    frame: text(file, 'frame'),
    direction,
    valid: rows(file, 'valid').map((row) => ({
      name: text(row, 'name'),
      bytes: Buffer.from(text(row, 'hex'), 'hex'),
      canonical: row['canonical'] === true,
      value: row['value'],
    })),
    invalid: rows(file, 'invalid').map((row) => {
      const code = text(row, 'code')
      if (!isCode(code)) throw new TypeError(`${path}: code ${code}`)
      return { name: text(row, 'name'), bytes: Buffer.from(text(row, 'hex'), 'hex'), code, path: text(row, 'path') }
    }),
  }
}

export function vectorFiles(): readonly VectorFile[] {
  return repositoryFiles()
    .filter((path) => path.startsWith('protocol/vectors/') && path.endsWith('.json'))
    .map(parseFile)
}

/** The frame as it stands in the vectors. */
export function toVectorValue(value: unknown): unknown {
  if (value instanceof Map) return fromPairs([...value])
  if (Array.isArray(value)) return value.map(toVectorValue)
  if (!isJson(value)) return value
  return fromPairs(
    Object.entries(value).map(([key, each]) => {
      if (each instanceof Uint8Array) return [`${key}Hex`, Buffer.from(each).toString('hex')]
      if (key === 'attributes' && Array.isArray(each)) return [key, fromPairs(each)]
      return [key, each]
    }),
  )
}

/** Unlike an assignment, `fromEntries` makes an own property of the key `__proto__`, as JSON.parse does. */
function fromPairs(pairs: ReadonlyArray<readonly [string, unknown]>): unknown {
  return Object.fromEntries(pairs.map(([key, value]) => [key, toVectorValue(value)]))
}

export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.t) {
    case 'hello':
      return encodeHello(frame)
    case 'ack':
      return encodeAck(frame.acks)
    case 'uplink':
      return encodeUplink(frame)
    case 'welcome':
      return encodeWelcome(frame)
    case 'data':
      return encodeData(frame)
    case 'gap':
      return encodeGap(frame)
    case 'reset':
      return encodeReset(frame)
    case 'bye':
      return encodeBye(frame)
    default:
      throw new TypeError('no such frame')
  }
}
