import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => credentialsConformance(t, factory))
