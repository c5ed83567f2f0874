import { FIELD_LIMITS } from '../limits.js'
import { closed, DEVICE_ID, LIMIT, NEXT, ref, shape, TIME, type Schema } from './common.js'

export const UPLINK: Schema = {
  $id: 'Uplink',
  type: 'object',
  required: ['id', 'device', 'channel', 'at', 'will', 'contentType'],
  properties: {
    id: { type: 'string', description: 'Unique for ever. As `after` it asks for what came behind this uplink' },
    device: DEVICE_ID,
    channel: { type: 'string', description: 'The topic behind `uplink/{device}/`' },
    at: { ...TIME, description: 'When it was stored' },
    will: { type: 'boolean', description: "It is the device's last will: the connection ended without DISCONNECT" },
    contentType: { type: ['string', 'null'], description: 'As the device said; null: plain MQTT cannot say one' },
    payload: {
      description:
        'Where the payload is UTF-8 and the content type is not application/octet-stream: JSON as a value, all else as text',
    },
    payloadBase64: { type: 'string', description: 'Any other payload' },
  },
}

export const UPLINKS: Schema = {
  $id: 'Uplinks',
  ...shape({ uplink: { type: 'array', items: ref('Uplink') }, next: NEXT }),
}

export const UPLINK_QUERY: Schema = closed({
  after: {
    type: 'string',
    minLength: 1,
    maxLength: FIELD_LIMITS.cursorMax,
    description: 'The `next` of the page before, or the `id` of the last uplink that you have; absent: from the oldest',
  },
  limit: LIMIT,
})
