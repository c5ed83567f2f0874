import t from 'tap'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

mailboxConformance(t, lmdbFactory('disk'))
