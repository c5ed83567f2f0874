import t from 'tap'
import { modelConformance } from '../conformance/model/index.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => modelConformance(t, factory))
