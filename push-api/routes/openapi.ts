import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { NAMED_SCHEMAS } from '../schemas/all.js'
import { JSON_REPLY } from './context.js'

/** Must be registered before every route that the document is to have. */
export async function registerOpenapi(app: FastifyInstance, version: string): Promise<void> {
  for (const schema of NAMED_SCHEMAS) app.addSchema(schema)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Postrider',
        description: 'Push messages to devices, and see what became of them. Errors are problem details (RFC 9457).',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [{ name: 'messages' }, { name: 'devices' }, { name: 'keys' }, { name: 'uplink' }, { name: 'webhooks' }],
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key' } } },
      security: [{ apiKey: [] }],
    },
    refResolver: {
      buildLocalReference: (schema, _baseUri, _fragment, index) =>
        typeof schema.$id === 'string' ? schema.$id : `schema-${index}`,
    },
  })
}

/** The document is public: it says nothing about this server but its version. */
export function openapiRoute(app: FastifyInstance): void {
  let text: string | null = null
  app.get('/openapi.json', { schema: { hide: true } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger())
    void reply.header('content-type', JSON_REPLY).send(text)
  })
}
