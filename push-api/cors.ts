// Which web pages a browser lets use the REST API (the Fetch standard's CORS protocol). Credentials of the browser (cookies)
// play no part: a caller brings its API key.

import type { FastifyInstance } from 'fastify'
import type { AllowedOrigins } from '../core/net/origins.js'

const METHODS = 'GET, POST, PUT, DELETE'
const REQUEST_HEADERS = 'authorization, content-type, idempotency-key'
const RESPONSE_HEADERS = 'retry-after'
/** How long a browser may remember the answer, seconds: what browsers take at most. */
const MAX_AGE = '7200'

/** Register before all routes. */
export function registerCors(app: FastifyInstance, origins: AllowedOrigins): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { origin } = request.headers
    if (origins.limited) reply.header('vary', 'origin')
    const allowed = origin !== undefined && origins.allow(origin)
    if (allowed) {
      reply.header('access-control-allow-origin', origins.limited ? origin : '*')
      reply.header('access-control-expose-headers', RESPONSE_HEADERS)
    }
    // The browser's question before the request itself; without the headers its answer is no.
    if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined) {
      if (allowed) {
        reply.header('access-control-allow-methods', METHODS)
        reply.header('access-control-allow-headers', REQUEST_HEADERS)
        reply.header('access-control-max-age', MAX_AGE)
      }
      void reply.code(204).send()
      return
    }
    done()
  })
}
