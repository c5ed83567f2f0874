import t from 'tap'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { onRedis } from '../support/redis/factory.js'

onRedis(t, (factory) => mailboxConformance(t, factory))
