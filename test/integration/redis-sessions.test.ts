import t from 'tap'
import { sharedSessionsConformance } from '../conformance/shared-sessions.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => sharedSessionsConformance(t, factory))
