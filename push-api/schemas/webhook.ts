import { EVENT_TYPES } from '../../core/model/event.js'
import { WEBHOOK_SECRET_RULE } from '../../core/security/webhook-signature.js'
import { FIELD_LIMITS } from '../limits.js'
import { closed, ref, shape, TIME, TIME_OR_NULL, type Schema } from './common.js'

const URL_SCHEMA: Schema = {
  type: 'string',
  minLength: 1,
  maxLength: FIELD_LIMITS.urlMax,
  description:
    'Where events are posted: https, a public address, no user or password in it; redirects are not followed',
}

const EVENTS: Schema = {
  type: 'array',
  minItems: 1,
  uniqueItems: true,
  items: { type: 'string', enum: EVENT_TYPES },
  description: 'The types of events that are sent',
}

export const WEBHOOK_ID = '^[A-Za-z0-9._-]{1,64}$'

export const WEBHOOK_PARAMS: Schema = closed({ webhook: { type: 'string', pattern: WEBHOOK_ID } }, ['webhook'])

export const WEBHOOK_REQUEST: Schema = closed(
  {
    url: URL_SCHEMA,
    events: EVENTS,
    enabled: { type: 'boolean', default: true, description: 'False: nothing is sent; what happens meanwhile waits' },
    secret: {
      type: 'string',
      maxLength: FIELD_LIMITS.webhookSecretMax,
      description: `Signs: ${WEBHOOK_SECRET_RULE}. Absent: a new webhook gets one, another keeps its own`,
    },
    rotateSecret: { type: 'boolean', description: 'A new secret is made, and told in the answer' },
    previousSecretTtl: {
      type: 'integer',
      minimum: 0,
      maximum: FIELD_LIMITS.previousSecretTtlMax,
      default: 86_400,
      description: 'Seconds for which a secret that is replaced signs beside the new one; 0: it ends now',
    },
  },
  ['url', 'events'],
)

const FIELDS = {
  id: { type: 'string' },
  url: URL_SCHEMA,
  events: EVENTS,
  enabled: { type: 'boolean' },
  createdAt: TIME,
  updatedAt: TIME,
  previousSecretUntil: { ...TIME_OR_NULL, description: 'Until then the secret before signs, too' },
}

export const WEBHOOK: Schema = { $id: 'Webhook', ...shape(FIELDS) }

export const PUT_WEBHOOK: Schema = {
  $id: 'PutWebhook',
  type: 'object',
  required: Object.keys(FIELDS),
  properties: {
    ...FIELDS,
    secret: { type: 'string', description: 'Only where this call made it, and never again' },
  },
}

export const WEBHOOKS: Schema = { $id: 'Webhooks', ...shape({ webhooks: { type: 'array', items: ref('Webhook') } }) }
