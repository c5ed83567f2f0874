import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { lmdbFactory } from '../support/lmdb-factory.js'

credentialsConformance(t, lmdbFactory('disk'))
