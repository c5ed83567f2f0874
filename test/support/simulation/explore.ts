// An explicit-state search: every interleaving of every step, breadth first, so that the first violation has a shortest
// trace. When all has been seen, it also knows whether progress can end at rest from everywhere.

import { Violation } from './violation.js'

export interface Step<S> {
  readonly label: string
  /** Nobody promises to take this step (a crash, a cut); all others are progress. */
  readonly fault: boolean
  readonly next: S | Violation
}

export interface Model<S> {
  initial(): S
  successors(state: S): Array<Step<S>>
  /** Throws Violation when a state in which no progress is possible is not a good one. */
  atRest(state: S): void
}

export interface Exploration {
  readonly states: number
  readonly steps: number
  readonly atRest: number
  readonly complete: boolean
  readonly violation: Violation | null
  readonly trace: readonly string[]
}

/** Numbers of states by 53-bit fingerprints of texts; at a million states the chance of a mix-up is about 1 in 18,000. */
class Seen {
  private readonly numbers = new Map<number, number>()

  /** The number of the state; `next` if it is new. */
  numberOf(text: string, next: number): number {
    let a = 0x811c9dc5
    let b = 0x1b873593
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      a = Math.imul(a ^ c, 0x01000193)
      b = Math.imul(b ^ c, 0xcc9e2d51)
      b = (b << 13) | (b >>> 19)
    }
    b ^= b >>> 16
    b = Math.imul(b, 0x85ebca6b)
    b ^= b >>> 13
    a ^= a >>> 15
    const print = (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff)
    const known = this.numbers.get(print)
    if (known !== undefined) return known
    this.numbers.set(print, next)
    return next
  }
}

/** `S` must survive JSON. Stops at the first violation, or at a bound. */
export function explore<S>(
  model: Model<S>,
  bounds: { readonly maxStates?: number; readonly maxMs?: number; readonly now: () => number },
): Exploration {
  const { maxStates = Infinity, maxMs = Infinity, now } = bounds
  const began = now()
  const seen = new Seen()
  const parents: number[] = [0]
  const labels: string[] = ['']
  const names = new Map<string, string>()
  let steps = 0
  let atRest = 0
  const trace = (state: number, last?: string): string[] => {
    const out: string[] = last === undefined ? [] : [last]
    for (let i = state; i !== 0; i = parents[i] ?? 0) out.push(labels[i] ?? '')
    return out.toReversed()
  }
  const result = (complete: boolean, violation: Violation | null, path: readonly string[]): Exploration => ({
    states: parents.length,
    steps,
    atRest,
    complete,
    violation,
    trace: path,
  })

  const first = JSON.stringify(model.initial())
  seen.numberOf(first, 0)
  const edges: number[] = [] // pairs [from, to] of progress
  const rests: number[] = []
  let frontier = [first]
  let base = 0
  while (frontier.length > 0) {
    const following: string[] = []
    for (const [i, text] of frontier.entries()) {
      const state: S = JSON.parse(text)
      let progress = false
      for (const { label, fault, next } of model.successors(state)) {
        steps++
        if (next instanceof Violation) return result(false, next, trace(base + i, label))
        const after = JSON.stringify(next)
        const number = seen.numberOf(after, parents.length)
        if (!fault) {
          progress = true
          edges.push(base + i, number)
        }
        if (number !== parents.length) continue
        const name = names.get(label) ?? label
        names.set(label, name)
        parents.push(base + i)
        labels.push(name)
        following.push(after)
      }
      if (!progress) {
        atRest++
        rests.push(base + i)
        try {
          model.atRest(state)
        } catch (error) {
          if (!(error instanceof Violation)) throw error
          return result(false, error, trace(base + i))
        }
      }
      if (parents.length >= maxStates || ((i & 255) === 0 && now() - began > maxMs)) return result(false, null, [])
    }
    base = parents.length - following.length
    frontier = following
  }
  const restless = neverRests(parents.length, edges, rests)
  if (restless === null) return result(true, null, [])
  return result(false, new Violation('I2', 'from here on it never comes to rest'), trace(restless))
}

/** The first state from which no progress leads to a state at rest; null when there is none. */
function neverRests(states: number, edges: readonly number[], rests: readonly number[]): number | null {
  const before: number[][] = Array.from({ length: states }, () => [])
  for (let i = 0; i < edges.length; i += 2) before[edges[i + 1] ?? 0]?.push(edges[i] ?? 0)
  const good = new Uint8Array(states)
  const queue = [...rests]
  for (const rest of rests) good[rest] = 1
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    for (const earlier of before[state] ?? []) {
      if (good[earlier] === 1) continue
      good[earlier] = 1
      queue.push(earlier)
    }
  }
  const first = good.indexOf(0)
  return first < 0 ? null : first
}
