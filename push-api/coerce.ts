import type { FastifyRequest } from 'fastify'
import type { Schema } from './schemas/common.js'
import { isJsonObject } from './text-rules.js'

const INTEGER = /^-?(?:0|[1-9]\d{0,15})$/

/** The value that the text of a URL stands for, where the schema wants an integer or a boolean; else the text as it is. */
function coerceValue(value: unknown, schema: unknown): unknown {
  const type = isJsonObject(schema) ? schema.type : undefined
  if (type === 'integer' && typeof value === 'string' && INTEGER.test(value)) return Number(value)
  if (type === 'boolean' && value === 'true') return true
  if (type === 'boolean' && value === 'false') return false
  return value
}

function coerce(values: unknown, schema: Schema | undefined): Record<string, unknown> {
  const properties = isJsonObject(schema?.properties) ? schema.properties : {}
  const entries = isJsonObject(values) ? Object.entries(values) : []
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      Object.hasOwn(properties, name) ? coerceValue(value, properties[name]) : value,
    ]),
  )
}

/**
 * A preValidation hook: parts of the URL are texts, their schemas speak of numbers. Bodies are left as they are: there, "5"
 * is no number.
 */
export function coerceUrl(schemas: { readonly params?: Schema; readonly querystring?: Schema }) {
  return (request: FastifyRequest, _reply: unknown, done: () => void): void => {
    if (schemas.params !== undefined) request.params = coerce(request.params, schemas.params)
    if (schemas.querystring !== undefined) request.query = coerce(request.query, schemas.querystring)
    done()
  }
}
