import t from 'tap'
import { modelConformance } from '../conformance/model/index.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => modelConformance(t, factory))
