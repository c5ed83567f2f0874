// The conformance suite of the EventLog port: every sentence of core/ports/event-log.ts, against a real store. A driver's test
// file names its factory and nothing else.

import type { Test } from 'tap'
import type { EventStoreFactory } from '../factory.js'
import { expiryConformance } from './expiry.js'
import { offlineConformance } from './offline.js'
import { readingConformance } from './reading.js'
import { recordedConformance } from './recorded.js'

export function eventLogConformance(t: Test, factory: EventStoreFactory): void {
  recordedConformance(t, factory)
  offlineConformance(t, factory)
  expiryConformance(t, factory)
  readingConformance(t, factory)
}
