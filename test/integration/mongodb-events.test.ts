import t from 'tap'
import { eventLogConformance } from '../conformance/event-log/index.js'
import { webhookStoreConformance } from '../conformance/webhook-store.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => {
  eventLogConformance(t, factory)
  webhookStoreConformance(t, factory)
})
