import type { FastifyInstance } from 'fastify'
import { answers, DEVICE_PARAMS, json, NO_CONTENT, ref } from '../schemas/common.js'
import { DEVICES_QUERY, TOKEN_REQUEST } from '../schemas/device.js'
import { coerceUrl } from '../coerce.js'
import { deleteDevice, deviceInfo, listDevices, mintToken } from '../service/devices.js'
import { sendJson, type RouteContext } from './context.js'

interface ById {
  readonly Params: { id: string }
}

/** Devices: what is known of them, their tokens, their end. */
export function deviceRoutes(app: FastifyInstance, { service, auth }: RouteContext): void {
  app.get<{ Querystring: { after?: string; limit: number; online?: boolean } }>(
    '/v1/devices',
    {
      onRequest: auth.require('read'),
      preValidation: coerceUrl({ querystring: DEVICES_QUERY }),
      schema: {
        operationId: 'listDevices',
        summary: 'Devices, in pages',
        tags: ['devices'],
        querystring: DEVICES_QUERY,
        response: answers({ 200: json('A page, in order of id', ref('Devices')) }, ['unknown_field']),
      },
    },
    async ({ query }, reply) => {
      const { after = null, limit, online = null } = query
      return sendJson(reply, 200, await listDevices(service, { after, limit, online }))
    },
  )

  app.get<ById>(
    '/v1/devices/:id',
    {
      onRequest: auth.require('read'),
      schema: {
        operationId: 'getDevice',
        summary: 'A device: is it connected, what waits for it',
        tags: ['devices'],
        params: DEVICE_PARAMS,
        response: answers({ 200: json('The device', ref('Device')) }, ['invalid_device_id', 'device_not_found']),
      },
    },
    async ({ params }, reply) => sendJson(reply, 200, await deviceInfo(service, params.id)),
  )

  app.delete<ById>(
    '/v1/devices/:id',
    {
      onRequest: auth.require('admin'),
      schema: {
        operationId: 'deleteDevice',
        summary: 'Revoke the tokens of a device, disconnect it, and forget it and its messages',
        description: 'Also where no such device exists: tokens signed for it before are refused from now on',
        tags: ['devices'],
        params: DEVICE_PARAMS,
        response: answers({ 204: NO_CONTENT }, ['invalid_device_id']),
      },
    },
    async ({ params }, reply) => {
      await deleteDevice(service, params.id)
      return reply.code(204).send()
    },
  )

  app.post<ById & { Body: { ttl?: number } }>(
    '/v1/devices/:id/token',
    {
      onRequest: auth.require('admin'),
      preValidation: (request, _reply, done) => {
        request.body ??= {} // the body may be left out
        done()
      },
      schema: {
        operationId: 'mintToken',
        summary: 'A token with which the device can connect; creates the device',
        tags: ['devices'],
        params: DEVICE_PARAMS,
        body: TOKEN_REQUEST,
        response: answers({ 201: json('The token', ref('Token')) }, [
          'invalid_device_id',
          'unknown_field',
          'not_supported',
          'body_too_large',
        ]),
      },
    },
    async ({ params, body }, reply) => {
      const token = await mintToken(service, params.id, body.ttl ?? null)
      return sendJson(reply.header('cache-control', 'no-store'), 201, token)
    },
  )
}
