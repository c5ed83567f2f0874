import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { mailboxConformance } from '../conformance/mailbox/index.js'
import { modelConformance } from '../conformance/model/index.js'
import { sessionStoreConformance } from '../conformance/session-store.js'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { referenceFactory } from '../support/reference-factory.js'

// The suites themselves, checked against an implementation that is nothing but the contract.
mailboxConformance(t, referenceFactory)
credentialsConformance(t, referenceFactory)
uplinkConformance(t, referenceFactory)
sessionStoreConformance(t, referenceFactory)
modelConformance(t, referenceFactory)
