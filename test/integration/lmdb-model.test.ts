import t from 'tap'
import { modelConformance } from '../conformance/model/index.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

modelConformance(t, lmdbFactory('process'))
