import t from 'tap'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => uplinkConformance(t, factory))
