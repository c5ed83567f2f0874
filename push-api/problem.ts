// Problem details, RFC 9457: the one shape of every answer that is not a success.

import { STATUS_CODES } from 'node:http'
import { ERROR_CODES, type ErrorCode } from '../protocol/codes.js'
import { PostriderError } from '../core/errors.js'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Why a request or an item of a batch is refused. `message` names the place and says what would be right. */
export interface Refusal {
  readonly code: ErrorCode
  readonly message: string
}

export const isRefusal = (value: object): value is Refusal => 'code' in value && 'message' in value

export function refusalError(refusal: Refusal): PostriderError {
  return new PostriderError(refusal.code, refusal.message)
}

/**
 * Seconds of `Retry-After` for every code that is worth a retry. A full inbox drains at the device's pace; the others are
 * over as soon as the store or the node has caught up.
 */
const RETRY_AFTER: Partial<Record<ErrorCode, number>> = {
  inbox_full: 5,
  rate_limited: 1,
  overloaded: 1,
  store_unavailable: 2,
  outcome_unknown: 2,
}

export interface Problem {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const typeOf = (code: ErrorCode): string => `urn:postrider:error:${code}`

/** `details` become members of the document; they cannot replace the standard ones. */
export function problemOf(error: PostriderError): Problem {
  const { code, message, details } = error
  const { status, title } = ERROR_CODES[code]
  const headers: Record<string, string> = { 'content-type': PROBLEM_TYPE }
  const retryAfter = RETRY_AFTER[code]
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter)
  if (code === 'unauthorized') headers['www-authenticate'] = 'Bearer realm="postrider"'
  if (code === 'missing_scope') headers['www-authenticate'] = 'Bearer realm="postrider", error="insufficient_scope"'
  return {
    status,
    headers,
    body: JSON.stringify({ ...details, type: typeOf(code), title, status, code, detail: message }),
  }
}

/** The whole answer on a connection without a request, which ends it. */
export function problemText(error: PostriderError): string {
  return answerText(problemOf(error))
}

export function answerText({ status, headers, body }: Problem): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = Buffer.byteLength(body)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}content-length: ${length}\r\nconnection: close\r\n\r\n${body}`
}

/** An error of the program. It has no code of the table: nothing about it is promised, and nothing of it is told. */
export const INTERNAL_PROBLEM: Problem = {
  status: 500,
  headers: { 'content-type': PROBLEM_TYPE },
  body: JSON.stringify({ type: 'about:blank', title: 'Internal Server Error', status: 500 }),
}
