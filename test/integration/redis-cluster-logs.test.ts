import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { eventLogConformance } from '../conformance/event-log/index.js'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { webhookStoreConformance } from '../conformance/webhook-store.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => {
  credentialsConformance(t, factory)
  uplinkConformance(t, factory)
  eventLogConformance(t, factory)
  webhookStoreConformance(t, factory)
})
