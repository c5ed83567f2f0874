import { FIELD_LIMITS } from '../limits.js'
import { closed, DEVICE_ID, EPOCH, LIMIT, NEXT, ref, SEQ, shape, TIME, TIME_OR_NULL, type Schema } from './common.js'

const COUNT: Schema = { type: 'integer', minimum: 0 }

export const DEVICE: Schema = {
  $id: 'Device',
  ...shape({
    device: DEVICE_ID,
    online: { type: 'boolean' },
    node: { type: ['string', 'null'], description: 'The node that the device is connected to' },
    connectedAt: TIME_OR_NULL,
    lastSeenAt: TIME_OR_NULL,
    epoch: EPOCH,
    head: { ...COUNT, description: 'The last seq' },
    cursor: { ...COUNT, description: 'Every seq up to it is handled, or will not be delivered' },
    pending: { ...COUNT, description: 'Messages that the device may still receive' },
    oldestPendingAt: TIME_OR_NULL,
    groups: { type: 'array', items: { type: 'string' } },
  }),
}

export const DEVICES: Schema = {
  $id: 'Devices',
  ...shape({ devices: { type: 'array', items: ref('Device') }, next: NEXT }),
}

export const DEVICES_QUERY: Schema = closed({
  after: { type: 'string', maxLength: FIELD_LIMITS.cursorMax, description: 'The `next` of the page before' },
  limit: LIMIT,
  online: {
    type: 'boolean',
    description:
      'Only devices that are, or are not, connected. Such a page may be short or empty and still have a `next`',
  },
})

export const PENDING_MESSAGE: Schema = {
  $id: 'PendingMessage',
  type: 'object',
  required: ['seq', 'epoch', 'at', 'expiresAt', 'dedupId', 'contentType', 'attributes', 'priority'],
  properties: {
    seq: SEQ,
    epoch: EPOCH,
    at: TIME,
    expiresAt: TIME_OR_NULL,
    dedupId: { type: ['string', 'null'] },
    contentType: { type: 'string' },
    attributes: { type: 'object', additionalProperties: { type: 'string' } },
    priority: { type: 'string', enum: ['normal', 'high'] },
    payload: { description: 'Where the payload is text or JSON: pushing this value makes the same bytes' },
    payloadBase64: { type: 'string', description: 'Any other payload' },
  },
}

export const PENDING_MESSAGES: Schema = {
  $id: 'PendingMessages',
  ...shape({ messages: { type: 'array', items: ref('PendingMessage') }, next: NEXT }),
}

export const PEEK_QUERY: Schema = closed({
  after: {
    type: 'integer',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    default: 0,
    description: 'The `next` of the page before, or a seq',
  },
  limit: LIMIT,
})

export const MESSAGE_PARAMS: Schema = closed({ id: DEVICE_ID, seq: SEQ }, ['id', 'seq'])

export const EPOCH_QUERY: Schema = closed({
  epoch: {
    type: 'string',
    maxLength: FIELD_LIMITS.cursorMax,
    description: 'As answered by the push; a message of another epoch is `message_gone`. Give it always',
  },
})

export const MESSAGE_STATE: Schema = {
  $id: 'MessageState',
  ...shape({
    seq: SEQ,
    epoch: EPOCH,
    state: {
      type: 'string',
      enum: ['queued', 'sent', 'received', 'handled', 'expired', 'cancelled', 'collapsed', 'overflow', 'retention'],
    },
    at: TIME_OR_NULL,
    expiresAt: TIME_OR_NULL,
  }),
}

export const CANCELLED: Schema = {
  $id: 'Cancelled',
  ...shape({
    state: { type: 'string', const: 'cancelled' },
    maybeDelivered: {
      type: 'boolean',
      description: 'It was on its way: if the device acknowledges it, it is handled after all',
    },
  }),
}

export const TOKEN_REQUEST: Schema = closed({
  ttl: {
    type: 'integer',
    minimum: 1,
    maximum: FIELD_LIMITS.ttlMax * 10,
    description: 'Seconds; default: 30 days, or the longest life that the server allows if that is less',
  },
})

export const TOKEN: Schema = { $id: 'Token', ...shape({ token: { type: 'string' }, expiresAt: TIME }) }
