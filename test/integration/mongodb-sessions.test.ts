import t from 'tap'
import { sessionStoreConformance } from '../conformance/session-store.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => sessionStoreConformance(t, factory))
