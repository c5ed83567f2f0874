import type { FastifyInstance } from 'fastify'
import { coerceUrl } from '../coerce.js'
import { answers, json, ref } from '../schemas/common.js'
import { UPLINK_QUERY } from '../schemas/uplink.js'
import { readUplink } from '../service/uplink.js'
import { sendJson, type RouteContext } from './context.js'

/** What devices sent to the backend. */
export function uplinkRoutes(app: FastifyInstance, { service, auth }: RouteContext): void {
  app.get<{ Querystring: { after?: string; limit: number } }>(
    '/v1/uplink',
    {
      onRequest: auth.require('read'),
      preValidation: coerceUrl({ querystring: UPLINK_QUERY }),
      schema: {
        operationId: 'readUplink',
        summary: 'What devices sent, in the order in which it was stored',
        tags: ['uplink'],
        querystring: UPLINK_QUERY,
        response: answers({ 200: json('A page', ref('Uplinks')) }, ['unknown_field']),
      },
    },
    async ({ query }, reply) => sendJson(reply, 200, await readUplink(service, query.after ?? null, query.limit)),
  )
}
