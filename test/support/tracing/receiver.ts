// A receiver of traces: real HTTP, and OTLP/JSON read field by field, so that a wrong one is found.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { LocalListener } from '../local-listener.js'

export interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly name: string
  readonly kind: number
  readonly flags: number
  /** Nanoseconds. */
  readonly start: bigint
  readonly end: bigint
  readonly attributes: ReadonlyMap<string, string | number | boolean>
  readonly status: number
  readonly resource: ReadonlyMap<string, string | number | boolean>
  readonly scope: string
}

type Fields = Readonly<Record<string, unknown>>

function fields(value: unknown, what: string, known: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what}: no object`)
  for (const key of Object.keys(value)) if (!known.includes(key)) throw new Error(`${what}: unknown field ${key}`)
  return { ...value }
}

function list(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`${what}: no array`)
  return value
}

function matching(value: unknown, what: string, form: RegExp): string {
  if (typeof value !== 'string' || !form.test(value)) throw new Error(`${what}: ${JSON.stringify(value)}`)
  return value
}

function whole(value: unknown, what: string): number {
  if (!Number.isInteger(value)) throw new Error(`${what}: ${JSON.stringify(value)}`)
  return Number(value)
}

function valueOf(value: unknown): string | number | boolean {
  const any = fields(value, 'value', ['stringValue', 'boolValue', 'intValue', 'doubleValue'])
  if (Object.keys(any).length !== 1) throw new Error('value: one of its forms is expected')
  if (typeof any['stringValue'] === 'string') return any['stringValue']
  if (typeof any['boolValue'] === 'boolean') return any['boolValue']
  if (typeof any['doubleValue'] === 'number') return any['doubleValue']
  return Number(matching(any['intValue'], 'intValue', /^-?[0-9]+$/))
}

function attributesOf(value: unknown): ReadonlyMap<string, string | number | boolean> {
  return new Map(
    list(value, 'attributes').map((item) => {
      const { key, value: any } = fields(item, 'attribute', ['key', 'value'])
      return [matching(key, 'key', /^[a-z][a-z0-9_.]*$/), valueOf(any)]
    }),
  )
}

const SPAN_FIELDS = [
  'traceId',
  'spanId',
  'parentSpanId',
  'flags',
  'name',
  'kind',
  'startTimeUnixNano',
  'endTimeUnixNano',
  'attributes',
  'status',
]

/** The spans of an ExportTraceServiceRequest; throws at what is none. */
export function decodeSpans(body: string): readonly ReceivedSpan[] {
  const { resourceSpans } = fields(JSON.parse(body), 'request', ['resourceSpans'])
  return list(resourceSpans, 'resourceSpans').flatMap((one) => {
    const { resource, scopeSpans } = fields(one, 'resourceSpans', ['resource', 'scopeSpans'])
    const process = attributesOf(fields(resource, 'resource', ['attributes'])['attributes'])
    return list(scopeSpans, 'scopeSpans').flatMap((part) => {
      const { scope, spans } = fields(part, 'scopeSpans', ['scope', 'spans'])
      const { name: scopeName } = fields(scope, 'scope', ['name', 'version'])
      return list(spans, 'spans').map((item) => {
        const span = fields(item, 'span', SPAN_FIELDS)
        const parent = span['parentSpanId']
        const status = fields(span['status'], 'status', ['code', 'message'])
        return {
          traceId: matching(span['traceId'], 'traceId', /^[0-9a-f]{32}$/),
          spanId: matching(span['spanId'], 'spanId', /^[0-9a-f]{16}$/),
          parentSpanId: parent === undefined ? null : matching(parent, 'parentSpanId', /^[0-9a-f]{16}$/),
          name: matching(span['name'], 'name', /./),
          kind: whole(span['kind'], 'kind'),
          flags: whole(span['flags'], 'flags'),
          start: BigInt(matching(span['startTimeUnixNano'], 'start', /^[1-9][0-9]{18}$/)),
          end: BigInt(matching(span['endTimeUnixNano'], 'end', /^[1-9][0-9]{18}$/)),
          attributes: attributesOf(span['attributes']),
          status: status['code'] === undefined ? 0 : whole(status['code'], 'status'),
          resource: process,
          scope: String(scopeName),
        }
      })
    })
  })
}

export class TraceReceiver {
  readonly spans: ReceivedSpan[] = []
  /** Requests as they came, for those who look for what must not be there. */
  readonly bodies: string[] = []
  readonly requests: Array<Readonly<Record<string, string | string[] | undefined>>> = []
  /** What could not be read. */
  readonly faults: string[] = []
  /** Null: no answer at all. */
  behave: () => { readonly status: number; readonly body?: string; readonly retryAfter?: string } | null = () => ({
    status: 200,
  })
  readonly #listener = new LocalListener((request, response) => void this.#answer(request, response))

  static async start(t: Test): Promise<TraceReceiver> {
    const receiver = new TraceReceiver()
    await receiver.up()
    t.teardown(() => receiver.down())
    return receiver
  }

  get url(): string {
    return this.#listener.origin
  }

  named(name: string): readonly ReceivedSpan[] {
    return this.spans.filter((span) => span.name === name)
  }

  /** Listens, on the port that it had. */
  up(): Promise<void> {
    return this.#listener.up()
  }

  /** Nobody listens, and connections are cut. */
  down(): Promise<void> {
    return this.#listener.down()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    try {
      for await (const chunk of request.setEncoding('utf8')) body += String(chunk)
    } catch {
      return // the sender has gone
    }
    const answer = this.behave()
    this.requests.push({ ...request.headers, ':path': request.url, ':method': request.method })
    if (answer === null) return
    if (answer.status === 200) {
      this.bodies.push(body)
      try {
        this.spans.push(...decodeSpans(body))
      } catch (error) {
        this.faults.push(String(error))
      }
    }
    const { retryAfter } = answer
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
    })
    response.end(answer.body ?? '{}')
  }
}
