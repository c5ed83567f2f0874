// How a scenario is run: under load, until everything is well again; then judged, and one line of the table.

import type { Test } from 'tap'
import { LONG, pause } from '../road/wait.js'
import type { Progress } from './history.js'
import { judge, PROBLEMS } from './judge.js'
import { machineNow } from './machine-time.js'
import type { World } from './world.js'

/** Milliseconds under load, with the fault in it. */
export const SCENARIO_MS = LONG ? 60_000 : 15_000
/** Devices give up a connection that says nothing: on a machine that runs nothing for so long, it is no fault of the server. */
const STALL_MS = 2_000
/** Before anything is broken. */
const PEACE_MS = 4_000

export interface Scenario {
  readonly name: string
  /** Does the damage, and mends what has to be mended. */
  readonly run: (world: World) => Promise<void>
  /** Mends what stays broken until all has arrived. */
  readonly after?: (world: World) => void
  /** No device loses its connection. */
  readonly staysConnected?: boolean
  /** What else must hold. */
  readonly check?: (t: Test, row: Row, world: World) => void | Promise<void>
}

export interface Row {
  readonly scenario: string
  readonly accepted: number
  readonly delivered: number
  readonly lost: number
  readonly reordered: number
  /** Runs of a handler for what it had handled. */
  readonly handledAgain: number
  /** To plain devices, against the rules. */
  readonly repeated: number
  /** To plain devices, as they may. */
  readonly allowed: number
  readonly resets: number
  readonly connects: number
  /** Accepted, and gone with a master; told to who had seen it. */
  readonly lostTail: number
  /** The longest time in which nothing was accepted. */
  readonly refusedMs: number
  /** Until all devices were connected and had everything; from when it was broken for good, or mended. */
  readonly recoveredMs: number
  /** Of what arrived for the first time. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
}

/** Problems that were told of already: a verdict is of all that happened so far. */
export type Told = Set<string>

const difference = (now: Progress, before: Progress, key: keyof Progress): number => now[key] - before[key]

/** Runs it, asserts that the promise was kept, and answers what the table says. What the nodes have logged is told when it fails. */
export async function runScenario(t: Test, world: World, scenario: Scenario, told: Told): Promise<Row> {
  const logged = world.nodes.map(({ server }) => ({ child: server.child, at: server.child.stderr.length }))
  try {
    return await attempt(t, world, scenario, told)
  } finally {
    scenario.after?.(world)
    if (!t.passing()) {
      for (const [i, { name, server }] of world.nodes.entries()) {
        const { child, at } = logged[i] ?? {}
        const lines = server.child.stderr.slice(child === server.child ? at : 0).split('\n')
        t.comment(`${name} (pid ${server.pid}, ${JSON.stringify(server.child.status)}): ${lines.slice(-12).join('\n')}`)
      }
    }
  }
}

async function attempt(t: Test, world: World, scenario: Scenario, told: Told): Promise<Row> {
  const { history, producer } = world
  const before = history.progress
  const verdictBefore = judge(history)
  const from = machineNow()
  world.measure()
  producer.start()
  await pause(PEACE_MS)
  await scenario.run(world)
  const recoveredMs = await world.recovered(machineNow())
  await pause(Math.max(0, from + SCENARIO_MS - machineNow()))
  await world.quiet()
  const after = history.progress
  const verdict = judge(history, 2 * world.stallMs)
  const fresh = (kind: (typeof PROBLEMS)[number]): readonly string[] => {
    const list = verdict[kind].filter((each) => !told.has(`${kind} ${each}`))
    for (const each of list) told.add(`${kind} ${each}`)
    return list
  }
  const found = Object.fromEntries(PROBLEMS.map((kind) => [kind, fresh(kind)]))
  for (const kind of PROBLEMS) {
    const list = found[kind] ?? []
    t.same(list.slice(0, 5), [], `${scenario.name}: ${kind} ${list.length}`)
  }
  const count = (kind: (typeof PROBLEMS)[number]): number => found[kind]?.length ?? 0
  const sorted = world.latencies.toSorted((a, b) => a - b)
  const at = (part: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0)
  const row: Row = {
    scenario: scenario.name,
    accepted: difference(after, before, 'accepted'),
    delivered: difference(after, before, 'delivered'),
    lost: count('lost'),
    reordered: count('reordered'),
    handledAgain: count('handledAgain'),
    repeated: count('repeated'),
    allowed: verdict.repeats - verdictBefore.repeats,
    resets: difference(after, before, 'resets'),
    connects: difference(after, before, 'connects'),
    lostTail: verdict.lostTail - verdictBefore.lostTail,
    refusedMs: Math.round(world.longestRefusal),
    recoveredMs: Math.round(world.recoveryMs ?? recoveredMs),
    latency: { p50: at(0.5), p99: at(0.99), max: at(1) },
  }
  t.ok(row.accepted > 0, 'there was load')
  const { stallMs } = world
  if (stallMs > 500) t.comment(`the machine did not let this process run for ${Math.round(stallMs)} ms`)
  if (scenario.staysConnected === true && stallMs < STALL_MS)
    t.equal(row.connects, 0, `${scenario.name}: no device lost its connection`)
  await scenario.check?.(t, row, world)
  return row
}
