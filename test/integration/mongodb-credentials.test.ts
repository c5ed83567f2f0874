import t from 'tap'
import { credentialsConformance } from '../conformance/credentials.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => credentialsConformance(t, factory))
