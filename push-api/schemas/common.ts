import { DEVICE_ID_RULE } from '../../protocol/device-id.js'
import { ERROR_CODES, type ErrorCode } from '../../protocol/codes.js'
import { FIELD_LIMITS } from '../limits.js'

/** A JSON schema as data. */
export type Schema = Readonly<Record<string, unknown>>

/** An object without other members than these. */
export function closed(properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema {
  return { type: 'object', additionalProperties: false, ...(required.length > 0 ? { required } : {}), properties }
}

/** What an answer has: every member present. */
export function shape(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', required: Object.keys(properties), properties }
}

export const ref = (name: string): Schema => ({ $ref: `${name}#` })

export const DEVICE_ID: Schema = {
  type: 'string',
  pattern: '^(?!\\.{1,2}$)[A-Za-z0-9._:@-]{1,128}$',
  description: DEVICE_ID_RULE,
}

export const SEQ: Schema = {
  type: 'integer',
  minimum: 1,
  maximum: Number.MAX_SAFE_INTEGER,
  description: "The message's place in its log",
}

export const EPOCH: Schema = { type: 'string', description: "The stretch of the log's history that the seq belongs to" }

export const TIME: Schema = { type: 'string', format: 'date-time' }
export const TIME_OR_NULL: Schema = { type: ['string', 'null'], format: 'date-time' }

export const NEXT: Schema = {
  type: ['string', 'null'],
  description: 'The `after` of the next page; null: this is the last one',
}

export const LIMIT: Schema = {
  type: 'integer',
  minimum: 1,
  maximum: FIELD_LIMITS.pageMax,
  default: FIELD_LIMITS.pageDefault,
  description: 'Most entries of the page',
}

export const DEVICE_PARAMS: Schema = closed({ id: DEVICE_ID }, ['id'])

/** Every call may be answered so. */
const ALWAYS: readonly ErrorCode[] = [
  'bad_request',
  'unauthorized',
  'missing_scope',
  'rate_limited',
  'store_unavailable',
]

/** The answers of a call: the good ones, and the problem documents by status. */
export function answers(
  good: Readonly<Record<number, Schema>>,
  codes: readonly ErrorCode[],
): Readonly<Record<number, Schema>> {
  const byStatus = new Map<number, ErrorCode[]>()
  for (const code of [...ALWAYS, ...codes]) {
    const { status } = ERROR_CODES[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const all: Record<number, Schema> = { ...good }
  for (const [status, list] of byStatus) {
    all[status] = {
      description: list.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}`).join('; '),
      content: { 'application/problem+json': { schema: ref('Problem') } },
    }
  }
  return all
}

export const NO_CONTENT: Schema = { type: 'null', description: 'Done' }

/** A good answer. */
export const json = (description: string, schema: Schema): Schema => ({
  description,
  content: { 'application/json': { schema } },
})

export const PROBLEM: Schema = {
  $id: 'Problem',
  type: 'object',
  description: 'RFC 9457 problem details. Further members may give more about some codes',
  required: ['type', 'title', 'status', 'code', 'detail'],
  properties: {
    type: { type: 'string', format: 'uri', description: 'Names the code' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(ERROR_CODES), description: 'Stable: programs decide by it' },
    detail: { type: 'string', description: 'What is wrong in this request, and what would be right' },
    seq: { type: 'integer', description: 'With `dedup_conflict`: the message that the dedup id stands for' },
    scope: { type: 'string', description: 'With `missing_scope`: the scope that the call needs' },
  },
}
