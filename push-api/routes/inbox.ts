import type { FastifyInstance } from 'fastify'
import { coerceUrl } from '../coerce.js'
import { answers, DEVICE_PARAMS, json, ref } from '../schemas/common.js'
import { EPOCH_QUERY, MESSAGE_PARAMS, PEEK_QUERY } from '../schemas/device.js'
import { cancelMessage, messageState, peek } from '../service/inbox.js'
import { sendJson, type RouteContext } from './context.js'

interface OneMessage {
  readonly Params: { id: string; seq: number }
  readonly Querystring: { epoch?: string }
}

/** Messages after they were accepted: what waits, what became of one, taking one back. */
export function inboxRoutes(app: FastifyInstance, { service, auth }: RouteContext): void {
  app.get<{ Params: { id: string }; Querystring: { after: number; limit: number } }>(
    '/v1/devices/:id/messages',
    {
      onRequest: auth.require('read'),
      preValidation: coerceUrl({ querystring: PEEK_QUERY }),
      schema: {
        operationId: 'peekMessages',
        summary: 'What waits for a device; acknowledges nothing',
        tags: ['messages'],
        params: DEVICE_PARAMS,
        querystring: PEEK_QUERY,
        response: answers({ 200: json('A page, in order of seq', ref('PendingMessages')) }, [
          'invalid_device_id',
          'unknown_field',
          'device_not_found',
        ]),
      },
    },
    async ({ params, query }, reply) => sendJson(reply, 200, await peek(service, params.id, query)),
  )

  const one = {
    preValidation: coerceUrl({ params: MESSAGE_PARAMS, querystring: EPOCH_QUERY }),
    schema: { tags: ['messages'], params: MESSAGE_PARAMS, querystring: EPOCH_QUERY },
  }

  app.get<OneMessage>(
    '/v1/devices/:id/messages/:seq',
    {
      ...one,
      onRequest: auth.require('read'),
      schema: {
        ...one.schema,
        operationId: 'getMessageState',
        summary: 'What became of a message',
        response: answers({ 200: json('Its state', ref('MessageState')) }, [
          'invalid_device_id',
          'unknown_field',
          'device_not_found',
          'message_gone',
        ]),
      },
    },
    async ({ params, query }, reply) =>
      sendJson(reply, 200, await messageState(service, params.id, params.seq, query.epoch ?? null)),
  )

  app.delete<OneMessage>(
    '/v1/devices/:id/messages/:seq',
    {
      ...one,
      onRequest: auth.require('push'),
      schema: {
        ...one.schema,
        operationId: 'cancelMessage',
        summary: 'Take a message back that is not handled yet',
        response: answers({ 200: json('It is cancelled', ref('Cancelled')) }, [
          'invalid_device_id',
          'unknown_field',
          'device_not_found',
          'message_gone',
          'already_handled',
        ]),
      },
    },
    async ({ params, query }, reply) =>
      sendJson(reply, 200, await cancelMessage(service, params.id, params.seq, query.epoch ?? null)),
  )
}
