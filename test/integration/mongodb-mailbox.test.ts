import t from 'tap'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => mailboxConformance(t, factory))
