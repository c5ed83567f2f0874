// G1: a process of ours is killed at any moment, and everything that was answered is there. Each round starts a child on the
// same store, kills it, and (not after every round, so that a recovery is itself cut short now and then) holds the store
// against all answers so far. CI_LONG=1 runs 50 rounds.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { eventually } from '../messages.js'
import type { Line, OpenForCrash } from './protocol.js'
import { Truth } from './truth.js'

export interface CrashFactory {
  readonly name: string
  /** A module that exports `openForCrash`: the child imports it. */
  readonly opener: URL
  readonly openForCrash: OpenForCrash
  /** Where the store lives; outlives children. */
  prepare(folder: string): Promise<string>
}

const ROUNDS = process.env['CI_LONG'] === undefined ? 10 : 50
const CHILD = fileURLToPath(new URL('../../support/crash-child.ts', import.meta.url))

/** When a round's child is killed: milliseconds after a line of it. */
function moment(round: number): { readonly after: Line['kind']; readonly ms: number } {
  if (round % 5 === 3) return { after: 'opening', ms: Math.random() * 40 }
  if (round % 5 === 4) return { after: 'open', ms: 2_200 + Math.random() * 800 } // long enough for work in the background
  return { after: 'open', ms: Math.random() ** 2 * 500 }
}

export function crashConformance(t: Test, factory: CrashFactory): void {
  t.test(`crash: killed ${ROUNDS} times, everything that was answered is there`, { timeout: 600_000 }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'postrider-crash-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const place = await factory.prepare(folder)
    const truth = new Truth()
    let since = 0
    for (let round = 1; round <= ROUNDS; round++) {
      const lines = await runAndKill(t, factory, folder, place, round)
      for (const line of lines) truth.take(line)
      since++
      if (round < ROUNDS && Math.random() < 0.4) continue
      const store = await factory.openForCrash(place)
      try {
        await truth.check(store.mailbox)
      } finally {
        await store.close()
      }
      t.pass(
        `round ${round}: the store is right after ${since} kills; ${truth.appended} appends, ${truth.acked} acks answered`,
      )
      since = 0
    }
    t.ok(truth.appended > 100 && truth.acked > 10, 'there was something to lose')
  })
}

async function runAndKill(
  t: Test,
  factory: CrashFactory,
  folder: string,
  place: string,
  round: number,
): Promise<Line[]> {
  const { after, ms } = moment(round)
  const path = join(folder, `round-${round}.ndjson`)
  const out = openSync(path, 'w')
  const args = ['--import=tsx', CHILD, factory.opener.href, place, `${round}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', out, 'inherit'] })
  closeSync(out)
  t.teardown(() => child.kill('SIGKILL'))
  const closed = once(child, 'close')
  await saidSomething(child, path, after)
  await new Promise((resolve) => setTimeout(resolve, ms))
  if (child.exitCode !== null) throw new Error(`round ${round}: the child ended by itself, code ${child.exitCode}`)
  child.kill('SIGKILL')
  await closed
  return linesOf(path)
}

async function saidSomething(child: ChildProcess, path: string, kind: Line['kind']): Promise<void> {
  await eventually(
    async () => {
      if (child.exitCode !== null) throw new Error(`the child ended before it was "${kind}", code ${child.exitCode}`)
      return statSync(path).size > 0 && readFileSync(path, 'utf8').includes(`{"kind":"${kind}"`) ? true : undefined
    },
    60_000,
    `the child says "${kind}"`,
  )
}

/** Whole lines only: the last may have been cut by the kill. */
function linesOf(path: string): Line[] {
  const text = readFileSync(path, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Line => JSON.parse(line))
}
