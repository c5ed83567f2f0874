import t from 'tap'
import { eventLogConformance } from '../conformance/event-log/index.js'
import { webhookStoreConformance } from '../conformance/webhook-store.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => {
  eventLogConformance(t, factory)
  webhookStoreConformance(t, factory)
})
