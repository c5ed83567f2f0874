import t from 'tap'
import { sessionStoreConformance } from '../conformance/session-store.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => sessionStoreConformance(t, factory))
