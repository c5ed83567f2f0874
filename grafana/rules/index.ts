import type { Alert } from './alert.js'
import { DELIVERY_ALERTS } from './delivery-alerts.js'
import { NODE_ALERTS } from './node-alerts.js'
import { BURN_ALERTS } from './slo.js'
import { STORE_ALERTS } from './store-alerts.js'
import { WEBHOOK_ALERTS } from './webhook-alerts.js'

export const ALERTS: readonly Alert[] = [
  ...BURN_ALERTS,
  ...DELIVERY_ALERTS,
  ...WEBHOOK_ALERTS,
  ...NODE_ALERTS,
  ...STORE_ALERTS,
]
