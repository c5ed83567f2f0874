import t from 'tap'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { onRedisCluster } from '../support/redis/factory.js'

onRedisCluster(t, (factory) => mailboxConformance(t, factory))
