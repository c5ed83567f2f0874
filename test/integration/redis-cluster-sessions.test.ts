import t from 'tap'
import { sharedFanOutConformance } from '../conformance/shared-fan-out.js'
import { sharedSessionsConformance } from '../conformance/shared-sessions.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => {
  sharedSessionsConformance(t, factory)
  sharedFanOutConformance(t, factory)
})
