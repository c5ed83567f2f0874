// Messages as producers write them. `message-reader.ts` is the same by hand; a test holds the two together.

import { TRACEPARENT_PATTERN } from '../../core/model/trace-context.js'
import { FIELD_LIMITS } from '../limits.js'
import { closed, DEVICE_ID, EPOCH, ref, SEQ, shape, type Schema } from './common.js'

/** Canonical base64: the bits that padding leaves over are zero. */
const BASE64 = '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$'

const FIELDS: Readonly<Record<string, Schema>> = {
  payload: {
    description:
      'Any JSON value. A string is sent as its UTF-8 bytes, anything else as `JSON.stringify` writes it. A number that does not survive that (too large, too precise, -0) is refused: send it as a string. Either this or `payloadBase64`',
  },
  payloadBase64: {
    type: 'string',
    pattern: BASE64,
    description: 'The bytes in standard base64 with padding (RFC 4648, section 4). Either this or `payload`',
  },
  contentType: {
    type: 'string',
    minLength: 1,
    maxLength: FIELD_LIMITS.contentTypeMax,
    pattern: '^[\\x20-\\x7e]*$',
    description:
      'Default: `text/plain` for a string, `application/json` for another `payload`, `application/octet-stream` for `payloadBase64`',
  },
  dedupId: {
    type: 'string',
    minLength: 1,
    maxLength: FIELD_LIMITS.dedupIdMax,
    description:
      "The producer's id for this message, unique per device for the dedup window (24 h): the same id again is answered with the first answer and stores nothing, with another body it is `dedup_conflict`",
  },
  ttl: {
    type: 'integer',
    minimum: 1,
    maximum: FIELD_LIMITS.ttlMax,
    description: 'Seconds after which an unhandled message expires; default: the retention of the server',
  },
  priority: {
    type: 'string',
    enum: ['normal', 'high'],
    default: 'normal',
    description: 'How soon acknowledgements go; never changes the order',
  },
  receipt: {
    type: 'boolean',
    default: false,
    description: 'The event `message.handled` is recorded when the device has handled it; see webhooks',
  },
  attributes: {
    type: 'object',
    maxProperties: FIELD_LIMITS.attributesMax,
    propertyNames: { minLength: 1, maxLength: FIELD_LIMITS.attributeKeyMax },
    properties: { traceparent: { type: 'string', pattern: TRACEPARENT_PATTERN } },
    additionalProperties: { type: 'string', maxLength: FIELD_LIMITS.attributeValueMax },
    description:
      'Strings beside the payload. The key `traceparent` is the W3C Trace Context of the message; without it that of the request (the header `traceparent`) is kept',
  },
}

const ONE_PAYLOAD: Schema = { oneOf: [{ required: ['payload'] }, { required: ['payloadBase64'] }] }

/** The body of a push to one device. */
export const MESSAGE: Schema = { $id: 'Message', ...closed(FIELDS), ...ONE_PAYLOAD }

/** An item of a batch, a line of NDJSON. */
export const BATCH_ITEM: Schema = {
  $id: 'BatchItem',
  ...closed({
    device: { ...DEVICE_ID, description: 'The device. Either this or `devices`' },
    devices: {
      type: 'array',
      minItems: 1,
      maxItems: FIELD_LIMITS.batchMax,
      uniqueItems: true,
      items: DEVICE_ID,
      description: 'Several devices that each get the message. An id outside the pattern fails alone',
    },
    ...FIELDS,
  }),
  allOf: [ONE_PAYLOAD, { oneOf: [{ required: ['device'] }, { required: ['devices'] }] }],
}

export const BATCH: Schema = {
  $id: 'Batch',
  ...closed(
    {
      messages: {
        type: 'array',
        maxItems: FIELD_LIMITS.batchMax,
        items: ref('BatchItem'),
        description: `At most ${FIELD_LIMITS.batchMax} messages, each device of \`devices\` counted. An item that is not of this form fails alone`,
      },
    },
    ['messages'],
  ),
}

const ERROR: Schema = shape({ code: { type: 'string' }, message: { type: 'string' } })

/** The answer to one message. */
export const ACCEPTED: Schema = {
  $id: 'Accepted',
  type: 'object',
  required: ['device', 'seq', 'epoch'],
  properties: {
    device: DEVICE_ID,
    seq: SEQ,
    epoch: EPOCH,
    duplicate: { type: 'boolean', const: true, description: 'The first answer again: nothing was stored now' },
  },
}

export const BATCH_RESULT: Schema = {
  $id: 'BatchResult',
  anyOf: [
    ref('Accepted'),
    { type: 'object', required: ['error'], properties: { error: ERROR } },
    {
      type: 'object',
      required: ['devices'],
      properties: {
        devices: {
          type: 'array',
          items: { anyOf: [ref('Accepted'), shape({ device: { type: 'string' }, error: ERROR })] },
        },
      },
    },
  ],
}

export const BATCH_RESULTS: Schema = {
  $id: 'BatchResults',
  description: 'One result for each item, in the same order',
  ...shape({ results: { type: 'array', items: ref('BatchResult') } }),
}
