// Requests to the REST API, made from what it says about itself, and then spoilt a little.

import { mutate } from './bytes.js'
import { anyJson, asSchema, jsonFor, type JsonOptions, type Schema } from './json-input.js'
import type { Random } from './random.js'
import { CANARY } from './subject.js'
import { word } from './words.js'

/** One call of the document. */
export interface Operation {
  readonly method: string
  /** With its parameters in braces. */
  readonly path: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly place: string; readonly schema: Schema }>
  /** By content type; empty: it takes no body. */
  readonly bodies: ReadonlyArray<readonly [type: string, schema: Schema]>
  readonly statuses: ReadonlySet<number>
}

export interface Api {
  readonly operations: readonly Operation[]
  readonly named: JsonOptions['named']
}

/** What `/openapi.json` says. */
export function readApi(document: unknown): Api {
  const { paths, components } = asSchema(document)
  const operations = Object.entries(asSchema(paths)).flatMap(([path, methods]) =>
    Object.entries(asSchema(methods)).map(([method, given]): Operation => {
      const { parameters, requestBody, responses } = asSchema(given)
      return {
        method: method.toUpperCase(),
        path,
        parameters: (Array.isArray(parameters) ? parameters : []).map((parameter) => {
          const { name, in: place, schema } = asSchema(parameter)
          return { name: String(name), place: String(place), schema: asSchema(schema) }
        }),
        bodies: Object.entries(asSchema(asSchema(requestBody)['content'])).map(([type, media]) => [
          type,
          asSchema(asSchema(media)['schema']),
        ]),
        statuses: new Set(Object.keys(asSchema(responses)).map(Number)),
      }
    }),
  )
  const named = Object.entries(asSchema(asSchema(components)['schemas'])).map(
    ([name, schema]) => [name, asSchema(schema)] as const,
  )
  return { operations, named: Object.fromEntries(named) }
}

export interface RequestInput {
  readonly bytes: Buffer
  /** The call that it is, if it is one without a fault in its first line. */
  readonly operation: Operation | null
}

/** How often each part is not what it should be. */
const WRONG = 0.05

/** HEAD is not among them: its answer cannot be told from others without knowing the request. */
const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'PROPFIND', 'get', '']

/** Anything but a device that other tests look at. */
const notCanary = (text: string): string => (text.includes(CANARY) ? 'other' : text)

function plain(json: string): string {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'string' ? value : json
  } catch {
    return json
  }
}

function target(operation: Operation, random: Random, options: JsonOptions): string {
  const valueOf = (schema: Schema): string => notCanary(plain(jsonFor(schema, random, options)))
  const encode = (text: string): string =>
    random.chance(WRONG) ? text.replaceAll(/[\r\n ]/g, '') : encodeURIComponent(Buffer.from(text).toString())
  let path = operation.path
  const query: string[] = []
  for (const { name, place, schema } of operation.parameters) {
    if (place === 'path') path = path.replace(`{${name}}`, encode(valueOf(schema)))
    else if (place === 'query' && random.chance(0.4)) query.push(`${name}=${encode(valueOf(schema))}`)
  }
  if (random.chance(WRONG)) query.push(`${encode(word(random))}=${encode(word(random))}`)
  if (random.chance(WRONG) && query[0] !== undefined) query.push(query[0])
  return query.length === 0 ? path : `${path}?${query.join('&')}`
}

function body(
  operation: Operation,
  random: Random,
  options: JsonOptions,
): { readonly type: string; readonly bytes: Buffer } {
  const [type = 'application/json', schema = {}] = operation.bodies.length === 0 ? [] : random.pick(operation.bodies)
  let text: string
  if (random.chance(WRONG)) text = anyJson(random)
  else if (type === 'application/x-ndjson') {
    const lines = Array.from({ length: random.between(0, 5) }, () =>
      random.chance(WRONG) ? word(random) : jsonFor(schema, random, options),
    )
    text = lines.join(random.pick(['\n', '\n', '\r\n', '\n\n'])) + random.pick(['', '\n'])
  } else text = jsonFor(schema, random, options)
  let bytes: Buffer = Buffer.from(text)
  if (random.chance(WRONG)) bytes = mutate(bytes, random)
  if (random.chance(WRONG / 5)) bytes = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes])
  return {
    type: random.chance(WRONG)
      ? random.pick([
          '',
          'text/plain',
          'application/xml',
          'application/json; charset=utf-16',
          'application/x-ndjson',
          'multipart/form-data; boundary=x',
          `application/${'x'.repeat(300)}`,
        ])
      : type,
    bytes,
  }
}

const HEADERS: readonly string[] = [
  'expect: 100-continue',
  'expect: something',
  'content-encoding: gzip',
  'content-encoding: identity',
  'transfer-encoding: gzip, chunked',
  'connection: upgrade',
  'upgrade: websocket',
  'x-forwarded-for: 10.0.0.1',
  'accept: text/html',
  'accept-encoding: br',
  'range: bytes=0-1',
  'if-none-match: *',
  'x-http-method-override: DELETE',
  'cookie: a=b',
  'idempotency-key: k-1',
  'idempotency-key: k-2',
  'traceparent: 00-0-0-00',
]

function headers(random: Random, key: string): string[] {
  const lines: string[] = []
  if (!random.chance(WRONG / 4)) lines.push('host: localhost')
  if (!random.chance(WRONG)) lines.push(`authorization: Bearer ${key}`)
  else
    lines.push(
      `authorization: ${random.pick(['Bearer', 'Basic eDp5', `bearer ${key}x`, `Bearer ${word(random).replaceAll(/[\r\n]/g, '')}`])}`,
    )
  while (random.chance(0.15)) lines.push(random.pick(HEADERS))
  if (random.chance(WRONG)) lines.push(`x-a: ${word(random).replaceAll(/[\r\n]/g, '')}`)
  return lines
}

function chunked(bytes: Buffer, random: Random): Buffer {
  const size = random.between(1, 64)
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size)
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    if (parts.length > 600) break
  }
  parts.push(Buffer.from('0\r\n\r\n'))
  const whole = Buffer.concat(parts)
  return random.chance(WRONG) ? mutate(whole, random) : whole
}

/** One request. */
export function anyRequest(random: Random, api: Api, key: string): RequestInput {
  const options: JsonOptions = { named: api.named, wrong: random.pick([0, 0, WRONG, 0.3]) }
  const operation = random.pick(api.operations)
  const known = !random.chance(WRONG)
  const method = known ? operation.method : random.pick(METHODS)
  const path =
    known || random.chance(0.5)
      ? target(operation, random, options)
      : word(random, [
          '/v1/groups/g/messages',
          '/v1/events',
          '/openapi.json',
          '/v1',
          '/v1/devices//messages',
          '*',
          'http://x/v1/devices',
        ]).replaceAll(/[\r\n ]/g, '')
  const lines = [
    `${method} ${path} HTTP/${random.chance(WRONG / 5) ? random.pick(['1.0', '2.0', '0.9', '']) : '1.1'}`,
    ...headers(random, key),
  ]
  let payload: Buffer = Buffer.alloc(0)
  if (operation.bodies.length > 0 ? !random.chance(WRONG) : random.chance(WRONG)) {
    const made = body(operation, random, options)
    if (made.type !== '') lines.push(`content-type: ${made.type}`)
    if (random.chance(0.15)) {
      payload = chunked(made.bytes, random)
      lines.push('transfer-encoding: chunked')
      if (random.chance(WRONG)) lines.push(`content-length: ${made.bytes.length}`)
    } else {
      payload = made.bytes
      lines.push(
        `content-length: ${random.chance(WRONG) ? random.pick(['0', '-1', '1', '999999999999', '18446744073709551616', 'x', String(payload.length - 1), String(payload.length + 10)]) : payload.length}`,
      )
    }
  }
  const bytes = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), payload])
  const spoilt = random.chance(0.03)
  return { bytes: spoilt ? mutate(bytes, random) : bytes, operation: known && !spoilt ? operation : null }
}
