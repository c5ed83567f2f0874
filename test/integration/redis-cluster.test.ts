import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { eventLogConformance } from '../conformance/event-log/index.js'
import { webhookStoreConformance } from '../conformance/webhook-store.js'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { modelConformance } from '../conformance/model/index.js'
import { sharedSessionsConformance } from '../conformance/shared-sessions.js'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => {
  mailboxConformance(t, factory)
  credentialsConformance(t, factory)
  uplinkConformance(t, factory)
  sharedSessionsConformance(t, factory)
  modelConformance(t, factory)
  eventLogConformance(t, factory)
  webhookStoreConformance(t, factory)
})
