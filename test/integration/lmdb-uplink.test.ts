import t from 'tap'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

uplinkConformance(t, lmdbFactory('disk'))
