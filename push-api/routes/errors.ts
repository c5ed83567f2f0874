// Whatever goes wrong, as a problem document.

import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyInstance, FastifyReply, FastifySchemaValidationError } from 'fastify'
import { DEVICE_ID_RULE } from '../../protocol/device-id.js'
import { PostriderError } from '../../core/errors.js'
import type { Logger } from '../../core/log.js'
import type { ApiCounters } from '../counters.js'
import type { HttpCounters } from '../http-counters.js'
import type { HttpDoor } from '../http-door.js'
import { formatPath } from '../json-numbers.js'
import { answerText, INTERNAL_PROBLEM, PROBLEM_TYPE, problemOf, type Problem } from '../problem.js'
import { quoteName } from '../text-rules.js'

/** What the schema wants, without what was there instead. */
function expectationOf(fault: FastifySchemaValidationError): string {
  const { keyword, params, message } = fault
  if (keyword === 'enum' && Array.isArray(params.allowedValues))
    return `must be one of ${params.allowedValues.join(', ')}`
  return message ?? 'is not of the documented form'
}

/** A schema's first fault. `context`: which part of the request. */
function schemaError(faults: readonly FastifySchemaValidationError[], context: string | undefined): PostriderError {
  const [fault] = faults
  if (fault === undefined) return new PostriderError('bad_request', 'the request is not of the documented form')
  const steps = fault.instancePath.split('/').slice(1)
  const path = formatPath(steps.map((step) => (/^\d+$/.test(step) ? Number(step) : step)))
  const where = context === 'querystring' ? 'query' : context === 'params' ? 'path' : 'body'
  if (fault.keyword === 'additionalProperties') {
    const name = quoteName(String(fault.params.additionalProperty))
    const what = where === 'query' ? 'the query parameter' : 'the field'
    return new PostriderError('unknown_field', `${what} ${name} does not exist${path === '' ? '' : ` in ${path}`}`)
  }
  if (where === 'path' && path === 'id' && fault.keyword === 'pattern') {
    return new PostriderError('invalid_device_id', DEVICE_ID_RULE)
  }
  return new PostriderError('bad_request', `${path === '' ? where : path}: ${expectationOf(fault)}`)
}

/** Refusals of the framework that a client can cause. */
function frameworkError(error: FastifyError): PostriderError | null {
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new PostriderError('bad_request', 'Content-Type: application/json is expected')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new PostriderError('bad_request', 'Content-Length: the length of the body is expected')
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_LENGTH_PARAM':
      return new PostriderError('bad_request', 'the URL is not valid')
    default: {
      const { statusCode } = error
      const byClient = statusCode !== undefined && statusCode >= 400 && statusCode < 500
      return byClient ? new PostriderError('bad_request', 'the request cannot be read') : null
    }
  }
}

/** Null: an error of the program. */
export function postriderErrorOf(error: FastifyError | PostriderError): PostriderError | null {
  if (error instanceof PostriderError) return error
  if (error.validation !== undefined) return schemaError(error.validation, error.validationContext)
  return frameworkError(error)
}

function send(reply: FastifyReply, problem: Problem): void {
  // The framework ends the connection after an unread body; here the rest is read and dropped, so that the client gets to
  // read this answer.
  reply.removeHeader('connection')
  void reply.code(problem.status).headers(problem.headers).send(problem.body)
}

export interface ErrorReporting {
  readonly log: Logger
  readonly counters: ApiCounters
  /** Null: answers are not counted. */
  readonly http: HttpCounters | null
}

/** Answers `error`. Errors of the program are logged whole and told as nothing but a 500. */
export function replyWithError(
  reporting: ErrorReporting,
  reply: FastifyReply,
  error: FastifyError | PostriderError,
): void {
  const { log, counters } = reporting
  const known = postriderErrorOf(error)
  const { id: requestId } = reply.request
  if (known === null) {
    counters.internalErrors++
    log.error({ requestId, err: error }, 'a request failed in an unforeseen way')
    send(reply, INTERNAL_PROBLEM)
    return
  }
  counters.problems.count(known.code)
  const { code, status } = known
  if (status >= 500) log.warn({ requestId, code, err: known.cause }, 'a request could not be served')
  else if (known.cause !== undefined) log.debug({ requestId, code, err: known }, 'a request was refused')
  send(reply, problemOf(known))
}

/** The same for a request that no route took. */
export function replyUnmatched(
  reporting: ErrorReporting,
  reply: FastifyReply,
  error: FastifyError | PostriderError,
): void {
  replyWithError(reporting, reply, error)
  reporting.http?.unmatched.answered(reply.statusCode, reply.elapsedTime)
}

export function registerErrorHandlers(app: FastifyInstance, reporting: ErrorReporting): void {
  app.setErrorHandler<FastifyError | PostriderError>((error, _request, reply) => {
    replyWithError(reporting, reply, error)
  })
  app.setNotFoundHandler((_request, reply) => {
    replyUnmatched(reporting, reply, new PostriderError('not_found', 'there is no such call; /openapi.json lists them'))
  })
}

const UNREAD: Readonly<
  Record<string, { readonly status: number; readonly counts: keyof ApiCounters['requestsUnread'] }>
> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, counts: 'too_slow' },
  HPE_HEADER_OVERFLOW: { status: 431, counts: 'headers_too_large' },
}

/** Bytes that are no HTTP request, or one that did not arrive in time. There is no request to answer: only a socket. */
export function answerClientErrors(
  counters: ApiCounters,
  door: Pick<HttpDoor, 'afterAnswers'>,
): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
      socket.destroy()
      return
    }
    const { status, counts } = UNREAD[error.code ?? ''] ?? { status: 400, counts: 'malformed' }
    const problem: Problem =
      status === 400
        ? problemOf(new PostriderError('bad_request', 'the bytes are not a valid HTTP/1.1 request'))
        : {
            status,
            headers: { 'content-type': PROBLEM_TYPE },
            body: JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status }),
          }
    // Not before the requests in front of it are answered: the client would take it for the answer to the first of them.
    const first = door.afterAnswers(socket, (answered) => {
      if (answered) socket.end()
      else if (socket.writable) socket.end(answerText(problem))
    })
    // Node tells a late request again and again.
    if (first) counters.requestsUnread[counts]++
  }
}
