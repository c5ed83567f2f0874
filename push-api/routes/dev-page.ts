// A page for development: a device in a browser, with the SDK as it was built. Off unless the composition gives it files.
//
// Only what was listed at the start is served, from memory: no request names a file. It holds no secret, and asks for none: it
// is of use only where devices need no token.

import type { FastifyInstance } from 'fastify'
import { PostriderError } from '../../core/errors.js'
import { JSON_REPLY } from './context.js'

export interface DevFile {
  readonly type: string
  readonly body: string
  /** The Content-Security-Policy of a page. */
  readonly policy?: string
}

export interface DevPage {
  /** By path under `/dev/`; the page itself is the empty one. */
  readonly files: ReadonlyMap<string, DevFile>
  /** Where browsers connect as devices: null where that listener is off. */
  ports(): { readonly ws: number | null; readonly wss: number | null }
}

export function devPageRoutes(app: FastifyInstance, { files, ...page }: DevPage): void {
  const schema = { hide: true }
  app.get('/dev', { schema }, (_request, reply) => void reply.redirect('/dev/'))
  app.get('/dev/server.json', { schema }, (_request, reply) => {
    void reply.header('content-type', JSON_REPLY).header('cache-control', 'no-store').send(JSON.stringify(page.ports()))
  })
  app.get<{ Params: { '*': string } }>('/dev/*', { schema }, ({ params }, reply) => {
    const file = files.get(params['*'])
    if (file === undefined) throw new PostriderError('not_found', 'the page for development has no such file')
    void reply
      .headers({
        'content-type': file.type,
        'cache-control': 'no-cache',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        ...(file.policy === undefined ? {} : { 'content-security-policy': file.policy }),
      })
      .send(file.body)
  })
}
