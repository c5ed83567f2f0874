// Long random walks through worlds too large to explore: a seeded choice of steps, then only progress until nothing is left to
// do, then the check of the state at rest.

import type { Model } from './explore.js'
import type { Scenario, World } from './world-data.js'
import { Violation } from './violation.js'

/** A small seeded generator (mulberry32): 0 ≤ x < 1. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A world with some of everything. */
export function randomScenario(random: () => number): Scenario {
  const some = (most: number): number => Math.floor(random() * (most + 1))
  const maybe = (): boolean => random() < 0.5
  const mode = maybe() ? 'stream' : 'plain'
  const ofMode = (which: 'stream' | 'plain', most: number): number => (mode === which ? some(most) : 0)
  const stalePuback = maybe() ? ofMode('plain', 2) : 0
  return {
    mode,
    messages: 4 + some(14),
    faults: {
      unknownOutcome: some(2),
      retry: some(2),
      duplicateNotice: some(2),
      cut: some(4),
      nodeCrash: some(1),
      twin: ofMode('plain', 2),
      deviceCrash: ofMode('stream', 2),
      wipe: ofMode('stream', 1),
      except: some(3),
      failover: some(2),
      otherClient: some(1),
      purge: some(1),
      stalePuback,
      readFails: some(2),
      flushFails: some(2),
      unsubscribe: some(2),
      unconfirmed: some(2),
      tick: some(3),
      idleSweep: some(3),
    },
    notices: random() < 0.8,
    kicks: maybe(),
    slowClaims: maybe(),
    slowStore: maybe(),
    unorderedPubacks: mode === 'plain' && maybe() && stalePuback === 0,
    watermarks: maybe(),
    window: 1 + some(5),
    pageSize: 1 + some(5),
    ...(maybe() ? { socketLimit: 1 + some(3) } : {}),
    cap: maybe() ? 0 : 2 + some(4),
    epochsKept: 1 + some(2),
    historyLength: some(5),
    connectionLimit: 1_000,
  }
}

export interface Walk {
  readonly violation: Violation | null
  readonly trace: readonly string[]
}

export function walk(model: Model<World>, random: () => number, steps: number): Walk {
  let world = model.initial()
  const trace: string[] = []
  try {
    for (let taken = 0; ; taken++) {
      const possible = model.successors(world)
      const progress = possible.filter((step) => !step.fault)
      if (progress.length === 0 && taken >= steps) break
      const from = taken < steps && (progress.length === 0 || random() < 0.08) ? possible : progress
      const chosen = from[Math.floor(random() * from.length)]
      if (chosen === undefined) break
      trace.push(chosen.label)
      if (chosen.next instanceof Violation) return { violation: chosen.next, trace }
      world = chosen.next
      if (taken > steps + 20_000) throw new Violation('I2', 'it never comes to rest')
    }
    model.atRest(world)
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    return { violation: error, trace }
  }
  return { violation: null, trace }
}
