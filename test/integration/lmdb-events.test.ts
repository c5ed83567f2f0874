import t from 'tap'
import { eventLogConformance } from '../conformance/event-log/index.js'
import { webhookStoreConformance } from '../conformance/webhook-store.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

eventLogConformance(t, lmdbFactory('disk'))
webhookStoreConformance(t, lmdbFactory('disk'))
