import t from 'tap'
import { sessionStoreConformance } from '../conformance/session-store.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

sessionStoreConformance(t, lmdbFactory('disk'))
