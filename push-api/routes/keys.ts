import type { FastifyInstance } from 'fastify'
import type { Scope } from '../../core/ports/credentials.js'
import { answers, json, NO_CONTENT, ref } from '../schemas/common.js'
import { KEY_PARAMS, KEY_REQUEST } from '../schemas/key.js'
import { createKey, listKeys, revokeKey } from '../service/keys.js'
import { sendJson, type RouteContext } from './context.js'

/** API keys. */
export function keyRoutes(app: FastifyInstance, { service, auth }: RouteContext): void {
  app.post<{ Body: { name: string; scopes: Scope[] } }>(
    '/v1/keys',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'createKey',
        summary: 'A new API key',
        tags: ['keys'],
        body: KEY_REQUEST,
        response: answers({ 201: json('The key, told this once', ref('NewKey')) }, ['unknown_field', 'body_too_large']),
      },
    },
    async ({ body }, reply) =>
      sendJson(reply.header('cache-control', 'no-store'), 201, await createKey(service, body.name, body.scopes)),
  )

  app.get(
    '/v1/keys',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'listKeys',
        summary: 'The API keys, without the keys themselves',
        tags: ['keys'],
        response: answers({ 200: json('All keys, the oldest first', ref('Keys')) }, []),
      },
    },
    async (_request, reply) => sendJson(reply, 200, await listKeys(service)),
  )

  app.delete<{ Params: { id: string } }>(
    '/v1/keys/:id',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'revokeKey',
        summary: 'Revoke an API key',
        tags: ['keys'],
        params: KEY_PARAMS,
        response: answers({ 204: NO_CONTENT }, ['not_found']),
      },
    },
    async ({ params }, reply) => {
      await revokeKey(service, params.id)
      return reply.code(204).send()
    },
  )
}
