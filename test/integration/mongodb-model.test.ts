import t from 'tap'
import { modelConformance } from '../conformance/model/index.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => modelConformance(t, factory))
