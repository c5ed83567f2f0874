// The conformance suite of the Mailbox port: every sentence of core/ports/mailbox.ts and of the design's guarantees, against
// a real store. A driver's test file names its factory and nothing else.

import type { Test } from 'tap'
import type { StoreFactory } from '../factory.js'
import { atomicityConformance } from './atomicity.js'
import { cancelConformance, stateConformance } from './cancel.js'
import { capsConformance, overflowConformance } from './caps.js'
import { claimsConformance } from './claims.js'
import { cursorsConformance } from './cursors.js'
import { dedupConformance } from './dedup.js'
import { exceptionsConformance } from './exceptions.js'
import { closedConformance, purgeConformance, reopenConformance } from './lifecycle.js'
import { lookConformance } from './look.js'
import { orderConformance } from './order.js'
import { pagingConformance } from './paging.js'
import { pendingConformance } from './pending.js'
import { positionsConformance } from './positions.js'
import { resumeConformance } from './resume.js'
import { expiryConformance, retentionConformance } from './time.js'

const SUBJECTS = [
  orderConformance,
  atomicityConformance,
  dedupConformance,
  capsConformance,
  overflowConformance,
  cursorsConformance,
  exceptionsConformance,
  pendingConformance,
  claimsConformance,
  expiryConformance,
  retentionConformance,
  cancelConformance,
  stateConformance,
  lookConformance,
  pagingConformance,
  positionsConformance,
  resumeConformance,
  purgeConformance,
  reopenConformance,
  closedConformance,
]

export function mailboxConformance(t: Test, factory: StoreFactory): void {
  for (const subject of SUBJECTS) subject(t, factory)
}
