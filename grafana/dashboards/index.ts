import type { Dashboard } from '../lib/panel.js'
import { BROKERS } from './brokers.js'
import { OVERVIEW } from './overview.js'
import { PUSH_API } from './push-api.js'
import { ROLLOUT } from './rollout.js'
import { STORE_AND_BUS } from './store-and-bus.js'

export const DASHBOARDS: readonly Dashboard[] = [OVERVIEW, BROKERS, PUSH_API, STORE_AND_BUS, ROLLOUT]
