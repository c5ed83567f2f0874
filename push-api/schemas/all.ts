import { PROBLEM, type Schema } from './common.js'
import { CANCELLED, DEVICE, DEVICES, MESSAGE_STATE, PENDING_MESSAGE, PENDING_MESSAGES, TOKEN } from './device.js'
import { KEY, KEYS, NEW_KEY } from './key.js'
import { ACCEPTED, BATCH, BATCH_ITEM, BATCH_RESULT, BATCH_RESULTS, MESSAGE } from './message.js'
import { UPLINK, UPLINKS } from './uplink.js'
import { PUT_WEBHOOK, WEBHOOK, WEBHOOKS } from './webhook.js'

/** The schemas with a name: `components.schemas` of the OpenAPI document. */
export const NAMED_SCHEMAS: readonly Schema[] = [
  PROBLEM,
  MESSAGE,
  BATCH_ITEM,
  BATCH,
  ACCEPTED,
  BATCH_RESULT,
  BATCH_RESULTS,
  DEVICE,
  DEVICES,
  PENDING_MESSAGE,
  PENDING_MESSAGES,
  MESSAGE_STATE,
  CANCELLED,
  TOKEN,
  KEY,
  NEW_KEY,
  KEYS,
  UPLINK,
  UPLINKS,
  WEBHOOK,
  PUT_WEBHOOK,
  WEBHOOKS,
]
