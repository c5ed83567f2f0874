import t from 'tap'
import { uplinkConformance } from '../conformance/uplink/index.js'
import { onMongo } from '../support/mongodb/factory.js'

onMongo(t, (factory) => uplinkConformance(t, factory))
