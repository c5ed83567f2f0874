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

const stream = { mode: 'stream' } as const
const quietStream = { ...quiet, ...stream }

/** The same in stream mode: the device is the SDK, with a record of what it has handled. */
export const STREAM_SCENARIOS: Readonly<Record<string, Scenario>> = {
  cut: { messages: 2, faults: { cut: 1 }, ...quietStream },
  'cut, notices': { messages: 1, faults: { cut: 1 }, ...stream },
  'cut, duplicate notices': { messages: 1, faults: { cut: 1, duplicateNotice: 2 }, ...stream },
  'cut, node crash': { messages: 1, faults: { cut: 1, nodeCrash: 1 }, ...quietStream },
  'device crash, storage wiped': { messages: 2, faults: { deviceCrash: 1, wipe: 1 }, ...quietStream },
  'moves to and fro, kicks late': { messages: 1, faults: { cut: 2 }, ...quietStream, kicks: true },
  'slow claims': { messages: 1, faults: { cut: 1 }, ...quietStream, slowClaims: true },
  'exception, cut': { messages: 1, faults: { except: 1, cut: 1 }, ...quietStream },
  'exceptions, notices': { messages: 3, faults: { except: 1 }, ...stream },
  'overflow, cut': { messages: 2, faults: { cut: 1 }, ...quietStream, cap: 1 },
  'overflow, exception': { messages: 4, faults: { except: 1 }, ...quietStream, cap: 2 },
  'failover, cut': { messages: 1, faults: { failover: 1, cut: 1 }, ...quietStream },
  'failover, notices': { messages: 2, faults: { failover: 1 }, ...stream },
  'failover, device crash': {
    messages: 1,
    faults: { failover: 1, deviceCrash: 1 },
    ...quietStream,
  },
  'two failovers': { messages: 1, faults: { failover: 2 }, ...quietStream, historyLength: 2 },
  'two failovers, list of 1 epoch': {
    messages: 1,
    faults: { failover: 2 },
    ...quietStream,
    historyLength: 2,
    epochsKept: 1,
  },
  'failover, exception': { messages: 2, faults: { failover: 1, except: 1 }, ...quietStream },
  'failover, overflow': { messages: 2, faults: { failover: 1 }, ...quietStream, cap: 1 },
  'failover, another client': {
    messages: 1,
    faults: { otherClient: 1, cut: 1, failover: 1 },
    ...quietStream,
    historyLength: 1,
  },
  'purge, cut': { messages: 1, faults: { purge: 1, cut: 1 }, ...quietStream },
  'slow store, cut': { messages: 1, faults: { cut: 1 }, slowStore: true, ...stream },
  'slow store, failover': { messages: 1, faults: { failover: 1 }, slowStore: true, ...quietStream, historyLength: 2 },
  'slow store, resume fails': { messages: 1, faults: { readFails: 2, cut: 1 }, ...quietStream, slowStore: true },
  'full socket, overflow': { messages: 3, faults: { tick: 1 }, ...quietStream, socketLimit: 2, cap: 2 },
  'unsubscribe, cut': { messages: 1, faults: { unsubscribe: 1, cut: 1 }, ...stream },
  'claims unconfirmed, cut': { messages: 1, faults: { unconfirmed: 1, cut: 1 }, ...quietStream, slowStore: true },
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

export const DEEP_STREAM_SCENARIOS: Readonly<Record<string, Scenario>> = {
  'cut, notices': { messages: 2, faults: { cut: 1 }, ...stream },
  'slow claims': { messages: 1, faults: { cut: 2 }, ...quietStream, slowClaims: true },
  cut: { messages: 3, faults: { cut: 1 }, ...stream },
  'two cuts': { messages: 2, faults: { cut: 2 }, ...quietStream },
  'cut, node crash': { messages: 3, faults: { cut: 1, nodeCrash: 1 }, ...quietStream },
  'device crashes, storage wiped': { messages: 2, faults: { deviceCrash: 2, wipe: 1 }, ...quietStream },
  'moves to and fro, kicks late': { messages: 2, faults: { cut: 2 }, ...quietStream, kicks: true },
  'exceptions, cut': { messages: 3, faults: { except: 2, cut: 1 }, ...quietStream },
  'overflow, cut': { messages: 4, faults: { cut: 1 }, ...quietStream, cap: 2 },
  'failover, cut': { messages: 2, faults: { failover: 1, cut: 1 }, ...quietStream },
  'two failovers': { messages: 2, faults: { failover: 2 }, ...quietStream },
  'two failovers, cut': { messages: 1, faults: { failover: 2, cut: 1 }, ...quietStream },
  'failover, another client': {
    messages: 1,
    faults: { otherClient: 1, cut: 1, failover: 1 },
    ...quietStream,
    historyLength: 2,
  },
  'failover, exception, cut': { messages: 1, faults: { failover: 1, except: 1, cut: 1 }, ...quietStream },
  'purge, cut': { messages: 3, faults: { purge: 1, cut: 1 }, ...quietStream },
  'slow store, failover': { messages: 2, faults: { failover: 1 }, ...quietStream, slowStore: true },
}
