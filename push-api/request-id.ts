// A name for each request: the caller's own, or a new one. It is in the answer and in every line of the log about it.

import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { randomId } from '../core/random-id.js'

export const REQUEST_ID = 'x-request-id'

/** What others may write into our log and get back in a header: short, and of harmless characters. */
const FORM = /^[A-Za-z0-9._:@/+=,-]{1,128}$/

export function requestIds(): (request: Pick<IncomingMessage, 'headers'>) => string {
  const process = randomId()
  let count = 0
  return ({ headers }) => {
    const given = headers[REQUEST_ID]
    return typeof given === 'string' && FORM.test(given) ? given : `${process}-${(++count).toString(36)}`
  }
}

export function answerWithRequestId(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header(REQUEST_ID, request.id)
    done()
  })
}
