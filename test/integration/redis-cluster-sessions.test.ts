import t from 'tap'
import { sharedSessionsConformance } from '../conformance/shared-sessions.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => sharedSessionsConformance(t, factory))
