// One span for each traced request that pushes: from the arrival of its head to the end of its answer.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isTraceparent, TRACEPARENT } from '../../core/model/trace-context.js'
import type { OpenSpan, SpanAttributes } from '../../core/tracing/span.js'
import type { Tracer } from '../../core/tracing/tracer.js'

/** Of W3C Trace Context; what is none is not there, as the standard says. */
export function headerContext(request: FastifyRequest): string | null {
  const header = request.headers[TRACEPARENT]
  return typeof header === 'string' && isTraceparent(header) ? header : null
}

export interface PushTraces {
  /** What the request's messages are kept with: the context of its span, else the one that it came with. */
  readonly contextOf: (request: FastifyRequest) => string | null
  /** One message was accepted, now or by an earlier request. */
  accepted(request: FastifyRequest, device: string, epoch: string, seq: number, duplicate: boolean): void
  /** A batch was answered. */
  answered(request: FastifyRequest, messages: number): void
}

interface Pushing {
  readonly span: OpenSpan
  attributes: SpanAttributes
}

/**
 * For the routes of `app` that are added after this. Spans begin once the request was let in (`preParsing` follows all
 * `onRequest`), so nobody without a key can make any.
 */
export function tracePushes(app: FastifyInstance, tracer: Tracer): PushTraces {
  const pushing = new WeakMap<FastifyRequest, Pushing>()

  function end(request: FastifyRequest, reply: FastifyReply, { span, attributes }: Pushing): void {
    const { statusCode, writableFinished } = reply.raw
    // Else the client has gone before it was answered.
    const status = writableFinished ? { 'http.response.status_code': statusCode } : {}
    tracer.end(span, {
      name: 'postrider.accept',
      kind: 'server',
      attributes: {
        'messaging.system': 'postrider',
        'http.request.method': request.method,
        'http.route': request.routeOptions.url ?? '',
        ...status,
        ...attributes,
      },
      error: !writableFinished ? 'aborted' : statusCode >= 500 ? String(statusCode) : null,
    })
  }

  app.addHook('preParsing', (request, reply, payload, done) => {
    const span = tracer.begin(headerContext(request), Date.now() - reply.elapsedTime)
    if (span !== null) {
      const one: Pushing = { span, attributes: {} }
      pushing.set(request, one)
      reply.raw.once('close', () => end(request, reply, one))
    }
    done(null, payload)
  })

  function note(request: FastifyRequest, attributes: SpanAttributes): void {
    const one = pushing.get(request)
    if (one !== undefined) one.attributes = attributes
  }

  return {
    contextOf: (request) => pushing.get(request)?.span.traceparent ?? headerContext(request),
    accepted(request, device, epoch, seq, duplicate) {
      note(request, {
        'postrider.device': device,
        'postrider.epoch': epoch,
        'postrider.seq': seq,
        'postrider.duplicate': duplicate,
      })
    },
    answered(request, messages) {
      note(request, { 'messaging.batch.message_count': messages })
    },
  }
}
