// The conformance suite of the Uplink port: every sentence of core/ports/uplink.ts, against a real store. A driver's test file
// names its factory and nothing else.

import type { Test } from 'tap'
import type { StoreFactory } from '../factory.js'
import { boundsConformance, retentionConformance } from './bounds.js'
import { dedupConformance } from './dedup.js'
import { closedConformance, keptConformance } from './kept.js'
import { orderConformance } from './order.js'
import { pagingConformance } from './paging.js'

const SUBJECTS = [
  keptConformance,
  orderConformance,
  pagingConformance,
  dedupConformance,
  boundsConformance,
  retentionConformance,
  closedConformance,
]

export function uplinkConformance(t: Test, factory: StoreFactory): void {
  for (const subject of SUBJECTS) subject(t, factory)
}
