// One connection to the REST API: a request or several, and what may be answered.

import { connect } from 'node:net'
import { ERROR_CODES, type ErrorCode } from '../../../protocol/codes.js'
import { cut } from './bytes.js'
import { anyRequest, type Api, type Operation, type RequestInput } from './http-input.js'
import { ReplyReader, type Reply } from './http-reply.js'
import { asSchema } from './json-input.js'
import type { Random } from './random.js'
import { reset } from './reset.js'
import { within } from './within.js'

/** What is answered before a call is known to be one. Those without a code are about bytes, not about requests. */
const BEFORE_A_CALL: ReadonlySet<number> = new Set([400, 404, 408, 413, 417, 431])

const isCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)

/** What is wrong with an answer; null: nothing. */
export function replyFault({ status, headers, body }: Reply, operation: Operation | null): string | null {
  const documented = operation?.statuses.has(status) === true
  if (status < 400) {
    if (operation !== null && !documented) return `${status} is not documented`
    const type = headers.get('content-type') ?? ''
    if (status === 204 || body === '') return null
    if (!/^application\/(?:json|x-ndjson)\b/.test(type)) return `${status} of type ${type}`
    for (const text of type.includes('ndjson') ? body.split('\n').filter((line) => line !== '') : [body])
      JSON.parse(text)
    return null
  }
  if (
    !documented &&
    !BEFORE_A_CALL.has(status) &&
    (operation !== null || !Object.values(ERROR_CODES).some((info) => info.status === status))
  ) {
    return `${status} is not documented`
  }
  if (!(headers.get('content-type') ?? '').startsWith('application/problem+json'))
    return `${status} is no problem document`
  const { status: told, code, title } = asSchema(JSON.parse(body))
  if (told !== status || typeof title !== 'string') return `${status} tells ${String(told)} ${String(title)}`
  if (code === undefined) return status === 408 || status === 431 || status === 417 ? null : `${status} has no code`
  if (!isCode(code) || ERROR_CODES[code].status !== status) return `${status} with the code ${JSON.stringify(code)}`
  if (ERROR_CODES[code].retryable && !/^[1-9][0-9]*$/.test(headers.get('retry-after') ?? ''))
    return `${code} without Retry-After`
  return null
}

export interface HttpCaseOptions {
  readonly port: number
  readonly api: Api
  readonly key: string
}

export async function httpCase(random: Random, { port, api, key }: HttpCaseOptions): Promise<void> {
  const requests: RequestInput[] = []
  do requests.push(anyRequest(random, api, key))
  while (requests.length < 20 && random.chance(0.3))
  const bytes = Buffer.concat(requests.map((request) => request.bytes))
  const reader = new ReplyReader()
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let closed = false
  socket.on('data', reader.read)
  socket.on('error', () => {}) // 'close' follows
  socket.on('close', () => (closed = true))
  for (const piece of cut(bytes, random)) {
    if (closed) break
    socket.write(piece)
    if (random.chance(0.05)) await new Promise((resolve) => setImmediate(resolve))
  }
  // Sometimes it goes away without waiting.
  const waits = !random.chance(0.1)
  if (waits) {
    await within(random.pick([20, 50, 200]), () => closed || reader.replies.length >= requests.length)
    // Half-closed: what it may still wait for does not come, so the rest is answered.
    if (!closed) socket.end()
    if (!(await within(15_000, () => closed))) throw new Error(`the connection does not end: ${describe(bytes)}`)
  } else {
    reset(socket)
    if (!(await within(5_000, () => closed))) throw new Error('the own socket does not end')
  }
  if (reader.fault !== null) throw new Error(`${reader.fault}: ${describe(bytes)}`)
  // A fault in one request changes what the next ones are.
  const exact = requests.every(({ operation }) => operation !== null) && reader.replies.length === requests.length
  for (const [i, reply] of reader.replies.entries()) {
    const fault = replyFault(reply, exact || i === 0 ? (requests[i]?.operation ?? null) : null)
    if (fault !== null)
      throw new Error(`${fault} (${reply.body.slice(0, 200)}): ${describe(requests[i]?.bytes ?? bytes)}`)
  }
}

const describe = (bytes: Buffer): string => JSON.stringify(bytes.subarray(0, 1_500).toString('latin1'))
