import type { FastifyInstance } from 'fastify'
import { answers, json, NO_CONTENT, ref } from '../schemas/common.js'
import { WEBHOOK_PARAMS, WEBHOOK_REQUEST } from '../schemas/webhook.js'
import { deleteWebhook, getWebhook, listWebhooks, putWebhook, type WebhookRequest } from '../service/webhooks.js'
import { sendJson, type RouteContext } from './context.js'

interface ById {
  readonly Params: { webhook: string }
}

/** Receivers of events. */
export function webhookRoutes(app: FastifyInstance, { service, auth }: RouteContext): void {
  app.get(
    '/v1/webhooks',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'listWebhooks',
        summary: 'The webhooks, without their secrets',
        tags: ['webhooks'],
        response: answers({ 200: json('All of them, in order of id', ref('Webhooks')) }, []),
      },
    },
    async (_request, reply) => sendJson(reply, 200, await listWebhooks(service)),
  )

  app.get<ById>(
    '/v1/webhooks/:webhook',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'getWebhook',
        summary: 'A webhook, without its secrets',
        tags: ['webhooks'],
        params: WEBHOOK_PARAMS,
        response: answers({ 200: json('The webhook', ref('Webhook')) }, ['not_found']),
      },
    },
    async ({ params }, reply) => sendJson(reply, 200, await getWebhook(service, params.webhook)),
  )

  app.put<ById & { Body: WebhookRequest }>(
    '/v1/webhooks/:webhook',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'putWebhook',
        summary: 'Make a webhook, or replace what it says',
        description:
          'Events are sent from then on that happen after it was made. Of a webhook that is there, what waits for it stays',
        tags: ['webhooks'],
        params: WEBHOOK_PARAMS,
        body: WEBHOOK_REQUEST,
        response: answers({ 200: json('Replaced', ref('PutWebhook')), 201: json('Made', ref('PutWebhook')) }, [
          'unknown_field',
          'body_too_large',
          'overloaded',
          'outcome_unknown',
        ]),
      },
    },
    async ({ params, body }, reply) => {
      const { created, view } = await putWebhook(service, params.webhook, body)
      return sendJson(reply.header('cache-control', 'no-store'), created ? 201 : 200, view)
    },
  )

  app.delete<ById>(
    '/v1/webhooks/:webhook',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'deleteWebhook',
        summary: 'End a webhook; what waits for it is dropped',
        tags: ['webhooks'],
        params: WEBHOOK_PARAMS,
        response: answers({ 204: NO_CONTENT }, ['not_found', 'outcome_unknown']),
      },
    },
    async ({ params }, reply) => {
      await deleteWebhook(service, params.webhook)
      return reply.code(204).send()
    },
  )
}
