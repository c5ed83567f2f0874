import type { FastifyInstance, HTTPMethods } from 'fastify'
import { PostriderError } from '../../core/errors.js'
import type { RouteContext } from './context.js'

/** Calls of the documented interface that this version does not have. */
export const CALLS_NOT_BUILT: ReadonlyArray<readonly [methods: HTTPMethods[], url: string]> = [
  [['POST'], '/v1/groups/:group/messages'],
  [['POST'], '/v1/groups/:group/members'],
  [['PUT', 'DELETE', 'GET'], '/v1/groups/:group/members/:id'],
  [['GET', 'DELETE'], '/v1/scheduled/:id'],
  [['GET'], '/v1/events'],
]

/** Answers them `not_supported`, before their bodies are looked at, and keeps them out of the OpenAPI document. */
export function notBuiltRoutes(app: FastifyInstance, { auth }: RouteContext): void {
  for (const [method, url] of CALLS_NOT_BUILT) {
    app.route({
      method,
      url,
      schema: { hide: true },
      onRequest: [
        auth.require(null),
        (_request, _reply, done) => done(new PostriderError('not_supported', 'this call is not built in this version')),
      ],
      handler: () => {
        throw new PostriderError('not_supported', 'this call is not built in this version')
      },
    })
  }
}
