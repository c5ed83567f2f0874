import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PostriderError } from '../../core/errors.js'
import { FIELD_LIMITS } from '../limits.js'
import { parseJson, readText } from '../request-body.js'
import { answers, DEVICE_PARAMS, json, ref } from '../schemas/common.js'
import { Batch, type BatchOutcome } from '../service/push-many.js'
import { push } from '../service/push.js'
import { writeResultLines, writeResults } from '../service/results.js'
import { SourceText } from '../source-text.js'
import { isJsonObject, quoteName } from '../text-rules.js'
import { JSON_REPLY, type RouteContext } from './context.js'
import { headerContext, tracePushes } from './trace-pushes.js'

const NDJSON = 'application/x-ndjson'

/** A body of NDJSON; a body of JSON is a plain string. */
class Lines {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

function idempotencyKey(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key']
  return header === undefined ? null : String(header)
}

function jsonText(body: unknown): string {
  if (typeof body === 'string') return body
  throw new PostriderError('bad_request', 'a body of JSON (Content-Type: application/json) is expected')
}

function readBatch(context: RouteContext['service'], text: string, traceparent: string | null): Batch {
  const body = parseJson(text)
  if (!isJsonObject(body)) throw new PostriderError('bad_request', 'body: an object with "messages" is expected')
  for (const key in body) {
    if (key !== 'messages') throw new PostriderError('unknown_field', `the field ${quoteName(key)} does not exist`)
  }
  const { messages } = body
  if (!Array.isArray(messages)) throw new PostriderError('bad_request', 'messages: an array is expected')
  const batch = new Batch(context, 'batch', traceparent)
  const source = new SourceText(text, 'batch')
  for (let i = 0; i < messages.length; i++) batch.add(messages[i], i, source)
  return batch
}

/** Blank lines are skipped; a line that is not JSON fails alone. */
function readLines(context: RouteContext['service'], text: string, traceparent: string | null): Batch {
  const batch = new Batch(context, 'line', traceparent)
  for (let from = 0; from < text.length;) {
    const newline = text.indexOf('\n', from)
    const to = newline < 0 ? text.length : newline
    const line = text.slice(from, to)
    from = to + 1
    if (line.trim() === '') continue
    try {
      batch.add(parseJson(line), 0, new SourceText(line, 'item'))
    } catch (error) {
      if (!(error instanceof PostriderError) || error.code !== 'bad_request') throw error
      batch.refuse({ code: 'bad_request', message: error.message })
    }
  }
  return batch
}

/** Pushes. Their bodies are validated by hand (`message-reader.ts`); the schemas here only describe them. */
export function messageRoutes(app: FastifyInstance, context: RouteContext): void {
  const { service, auth, body } = context
  const { queue, counters } = service
  const traces = service.tracer === null ? null : tracePushes(app, service.tracer)
  const contextOf = traces?.contextOf ?? headerContext

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', (request, payload, done) => {
    readText(payload, request.headers, body, done)
  })

  /** Before the body is read: what cannot be taken need not arrive. */
  function refuseOverload(_request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
    counters.requests++
    try {
      queue.check()
    } catch (error) {
      done(error instanceof Error ? error : new Error('overload check failed', { cause: error }))
      return
    }
    done()
  }

  const shared = {
    onRequest: [auth.require('push'), refuseOverload],
    validatorCompiler: () => () => true,
  }

  app.post<{ Params: { id: string } }>(
    '/v1/devices/:id/messages',
    {
      ...shared,
      schema: {
        operationId: 'pushMessage',
        summary: 'One message to one device',
        tags: ['messages'],
        params: DEVICE_PARAMS,
        headers: {
          type: 'object',
          properties: {
            'idempotency-key': {
              type: 'string',
              minLength: 1,
              maxLength: FIELD_LIMITS.dedupIdMax,
              description: 'Another way to give `dedupId`; both and different are refused',
            },
          },
        },
        body: ref('Message'),
        response: answers(
          {
            200: json('Accepted before: the first answer again, with `duplicate: true`', ref('Accepted')),
            202: json('Accepted: stored at the stated durability', ref('Accepted')),
          },
          [
            'invalid_device_id',
            'unknown_field',
            'not_supported',
            'dedup_conflict',
            'body_too_large',
            'payload_too_large',
            'inbox_full',
            'overloaded',
            'outcome_unknown',
          ],
        ),
      },
    },
    (request, reply) => {
      const device = request.params.id
      const text = jsonText(request.body)
      push(service, {
        device,
        message: parseJson(text),
        source: new SourceText(text, 'item'),
        idempotencyKey: idempotencyKey(request),
        traceparent: contextOf(request),
      }).then(
        ({ seq, epoch, duplicate }) => {
          traces?.accepted(request, device, epoch, seq, duplicate)
          return reply
            .code(duplicate ? 200 : 202)
            .header('content-type', JSON_REPLY)
            .send(`{"device":"${device}","seq":${seq},"epoch":"${epoch}"${duplicate ? ',"duplicate":true' : ''}}`)
        },
        (error: unknown) => reply.send(error),
      )
    },
  )

  app.register((scope, _options, done) => {
    scope.addContentTypeParser(NDJSON, (request, payload, parsed) => {
      readText(payload, request.headers, body, (error, text) => parsed(error, new Lines(text ?? '')))
    })

    scope.post(
      '/v1/messages',
      {
        ...shared,
        schema: {
          operationId: 'pushMessages',
          summary: 'Many messages to many devices',
          description:
            'Messages of one device get their seqs in the order of the array. A message that cannot be accepted fails alone. NDJSON in gives NDJSON out: one item a line, one result a line',
          tags: ['messages'],
          body: {
            content: { 'application/json': { schema: ref('Batch') }, [NDJSON]: { schema: ref('BatchItem') } },
          },
          response: answers(
            {
              200: {
                description: 'What became of each message',
                content: {
                  'application/json': { schema: ref('BatchResults') },
                  [NDJSON]: { schema: ref('BatchResult') },
                },
              },
            },
            ['unknown_field', 'body_too_large', 'too_many_messages', 'overloaded', 'outcome_unknown'],
          ),
        },
      },
      (request, reply) => {
        if (idempotencyKey(request) !== null) {
          throw new PostriderError(
            'bad_request',
            'Idempotency-Key: give each message of a batch its own dedupId instead',
          )
        }
        const lines = request.body instanceof Lines ? request.body.text : null
        const trace = contextOf(request)
        const batch =
          lines === null ? readBatch(service, jsonText(request.body), trace) : readLines(service, lines, trace)
        const write = lines === null ? writeResults : writeResultLines
        batch.send(service).then(
          (outcome: BatchOutcome) => {
            traces?.answered(request, outcome.messages.length)
            return reply
              .header('content-type', lines === null ? JSON_REPLY : NDJSON)
              .send(write(outcome, counters.refusedItems))
          },
          (error: unknown) => reply.send(error),
        )
      },
    )
    done()
  })
}
