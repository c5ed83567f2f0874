// The bounds that are explored, the rules that are broken on purpose, and the smallest worlds that show the harm.

import type { Scenario } from './world-data.js'

const quiet = { notices: false } as const

/** Small enough to be explored completely. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  cut: { messages: 2, faults: { cut: 1 } },
  'duplicate notices': { messages: 2, faults: { duplicateNotice: 2 } },
  exceptions: { messages: 4, faults: { except: 2 }, ...quiet },
  'exceptions, notices': { messages: 3, faults: { except: 1 } },
  'overflow, cut': { messages: 3, faults: { cut: 1 }, ...quiet, cap: 2 },
  'exception, cut, PUBACKs in any order': {
    messages: 2,
    faults: { cut: 1, except: 1 },
    ...quiet,
    unorderedPubacks: true,
  },
  'PUBACKs in any order': { messages: 4, faults: {}, ...quiet, unorderedPubacks: true, window: 3 },
  'a second client, cut': { messages: 1, faults: { twin: 1, cut: 1 }, ...quiet, kicks: true },
  'a second client, slow claims': { messages: 1, faults: { twin: 1 }, kicks: true, slowClaims: true },
  'cut, node crash': { messages: 2, faults: { cut: 1, nodeCrash: 1 }, ...quiet },
  'failover, cut': { messages: 1, faults: { failover: 1, cut: 1 }, ...quiet },
  'failover, notices': { messages: 2, faults: { failover: 1 } },
  'failover, exception': { messages: 2, faults: { failover: 1, except: 1 }, ...quiet },
  'two failovers': { messages: 2, faults: { failover: 2 }, ...quiet, historyLength: 2 },
  'two failovers, list of 1 epoch': { messages: 2, faults: { failover: 2 }, ...quiet, historyLength: 2, epochsKept: 1 },
  'failover, another client': {
    messages: 1,
    faults: { otherClient: 1, cut: 1, failover: 1 },
    ...quiet,
    historyLength: 2,
  },
  'failover, cut, stale PUBACK': {
    messages: 1,
    faults: { cut: 1, stalePuback: 1, failover: 1 },
    ...quiet,
    historyLength: 2,
  },
  'purge, cut': { messages: 2, faults: { purge: 1, cut: 1 }, ...quiet },
  'retries, failover': { messages: 1, faults: { unknownOutcome: 2, retry: 1, failover: 1 }, ...quiet },
  'slow store': { messages: 2, faults: { idleSweep: 1 }, slowStore: true },
  'slow store, exception, read fails': { messages: 2, faults: { except: 1, readFails: 1 }, slowStore: true, ...quiet },
  'slow store, cut': { messages: 1, faults: { cut: 1, flushFails: 1 }, slowStore: true },
  'slow store, failover': { messages: 1, faults: { failover: 1 }, slowStore: true, historyLength: 2 },
  'full socket': { messages: 3, faults: { tick: 1 }, ...quiet, socketLimit: 1, window: 3 },
  'full socket, notices': { messages: 3, faults: {}, socketLimit: 1 },
  unsubscribe: { messages: 2, faults: { unsubscribe: 1 } },
  'claims unconfirmed, a second client': { messages: 2, faults: { unconfirmed: 1, twin: 1 }, ...quiet },
  'watermarks, cut': { messages: 2, faults: { cut: 1 }, ...quiet, watermarks: true },
}

/** Larger: for the long form. */
export const DEEP_SCENARIOS: Readonly<Record<string, Scenario>> = {
  cut: { messages: 3, faults: { cut: 1 } },
  'two cuts': { messages: 2, faults: { cut: 2 }, ...quiet },
  'exceptions, notices': { messages: 3, faults: { except: 2 } },
  'overflow, exception, cut': { messages: 4, faults: { cut: 1, except: 1 }, ...quiet, cap: 2 },
  'a second client, cut': { messages: 2, faults: { twin: 1, cut: 1 }, ...quiet, kicks: true },
  'a second client, slow claims': { messages: 2, faults: { twin: 1 }, ...quiet, kicks: true, slowClaims: true },
  'failover, cut': { messages: 2, faults: { failover: 1, cut: 1 }, ...quiet },
  'failover, notices': { messages: 3, faults: { failover: 1 } },
  'failover, cut, stale PUBACK': {
    messages: 2,
    faults: { cut: 1, stalePuback: 1, failover: 1 },
    ...quiet,
    historyLength: 2,
  },
  'two failovers': { messages: 2, faults: { failover: 2 }, ...quiet },
  'two failovers, cut': { messages: 1, faults: { failover: 2, cut: 1 }, ...quiet },
  'purge, cut': { messages: 2, faults: { purge: 1, cut: 1 } },
  'retries, failover': { messages: 2, faults: { unknownOutcome: 2, retry: 1, failover: 1 }, ...quiet },
  'slow store, cut': { messages: 2, faults: { cut: 1 }, slowStore: true },
  'slow store, failover': { messages: 2, faults: { failover: 1 }, ...quiet, slowStore: true },
  'full socket, cut': { messages: 3, faults: { cut: 1 }, ...quiet, socketLimit: 1 },
}
