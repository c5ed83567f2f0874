import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Authenticator } from '../auth.js'
import type { BodyLimits } from '../request-body.js'
import type { ServiceContext } from '../service/context.js'

/** What the route plugins share. */
export interface RouteContext {
  readonly service: ServiceContext
  readonly auth: Authenticator
  readonly body: BodyLimits
  /** The client's IP address in its canonical form, as the trusted proxies in front say it. Empty: its socket has ended. */
  addressOf(request: FastifyRequest): string
}

export const JSON_REPLY = 'application/json; charset=utf-8'

/** The answer as text: the response schemas describe, they do not filter. */
export function sendJson(reply: FastifyReply, status: number, value: unknown): FastifyReply {
  return reply.code(status).header('content-type', JSON_REPLY).send(JSON.stringify(value))
}
