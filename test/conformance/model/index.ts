// A driver against the reference mailbox: random sequences of calls, every answer compared. A failure prints the seed and
// the shortest sequence found; `CI_SEED=<seed> CI_PATH=<path>` runs it again, `CI_LONG=1` runs more.

import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import type { Test } from 'tap'
import type { MailboxLimits } from '../../../core/ports/mailbox.js'
import { FakeClock } from '../../support/fake-clock.js'
import { ReferenceStore } from '../../support/reference-mailbox.js'
import { needs, type StoreFactory, type StoreHandle } from '../factory.js'
import { DEVICES, type Op, sequences } from './ops.js'
import { Side } from './side.js'

const LIMITS: ReadonlyArray<Partial<MailboxLimits>> = [
  { inboxMax: 8, inboxMaxBytes: 1_500, overflow: 'reject', retentionSeconds: 9 },
  { inboxMax: 6, inboxMaxBytes: 900, overflow: 'drop-oldest', retentionSeconds: 9 },
]

/** Shrinking a failure ends here too, and so do the long runs: a file has 300 s for all of its tests. Milliseconds. */
const TIME_LIMIT = process.env['CI_LONG'] === undefined ? 40_000 : 60_000
const RUNS = process.env['CI_LONG'] === undefined ? 25 : 300

export function modelConformance(t: Test, factory: StoreFactory): void {
  const { clock, generation } = factory.supports
  for (const limits of LIMITS) {
    t.test(
      `model: random calls answer as the reference does (${limits.overflow})`,
      needs(clock, generation),
      async (t) => {
        const { CI_SEED: seed, CI_PATH: path } = process.env
        await fc.assert(
          fc.asyncProperty(sequences, (ops) => compare(t, factory, limits, ops)),
          {
            numRuns: RUNS,
            interruptAfterTimeLimit: TIME_LIMIT,
            ...(seed === undefined ? {} : { seed: Number(seed) }),
            ...(path === undefined ? {} : { path }),
          },
        )
        t.pass(`${RUNS} sequences`)
      },
    )
  }
}

async function compare(
  t: Test,
  factory: StoreFactory,
  limits: Partial<MailboxLimits>,
  ops: readonly Op[],
): Promise<void> {
  const clock = new FakeClock()
  const reference = new ReferenceStore({ clock, limits })
  const expected = new Side(reference.open())
  const store = await factory.open(t, { clock, limits })
  try {
    const actual = new Side(store.mailbox)
    const keepsClaims = factory.supports.claimsKept === true
    const forgettable = (device: string): number => reference.forgettableUpTo(device)
    for (const [i, op] of ops.entries()) {
      if (op.op === 'advance') clock.advance(op.ms)
      if (op.op === 'pause') await new Promise((resolve) => setTimeout(resolve, op.ms))
      if (op.op === 'generation') reference.newGeneration()
      if (op.op === 'generation' || op.op === 'reopen') {
        await (op.op === 'reopen' ? store.reopen() : store.changeGeneration())
        if (factory.supports.wireForgotten === true) {
          reference.sentBefore = op.op === 'generation' ? clock.now() : 0
        }
        if (!keepsClaims) reference.forgetClaims()
        expected.reopened(reference.open())
        actual.reopened(store.mailbox)
      }
      if (op.op === 'advance') await settle(store, reference)
      const wanted = await expected.run(op, forgettable)
      equal(await actual.run(op, forgettable), wanted, i, op)
      if (op.op === 'list' || op.op === 'look' || op.op === 'peek') continue
      const look: Op = { op: 'look', epoch: 0, seq: 3 }
      const after = await expected.run(look, forgettable)
      equal(await actual.run(look, forgettable), after, i, op)
    }
  } finally {
    await store.close()
  }
}

function equal(actual: unknown, expected: unknown, step: number, op: Op): void {
  if (isDeepStrictEqual(actual, expected)) return
  const lines = differences(actual, expected).join('\n  ')
  throw new Error(`step ${step}, after ${JSON.stringify(op)}:\n  ${lines}`)
}

/** One line for each place where the two differ. */
function differences(actual: unknown, expected: unknown, path = 'answer'): string[] {
  if (isDeepStrictEqual(actual, expected)) return []
  const inner = isObject(actual) && isObject(expected)
  if (!inner) return [`${path}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`]
  const names = new Set([...Object.keys(actual), ...Object.keys(expected)])
  return [...names].flatMap((name) => differences(actual[name], expected[name], `${path}.${name}`))
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** After a step of the clock `pending` may follow one second late. */
async function settle(store: StoreHandle, reference: ReferenceStore): Promise<void> {
  const mailbox = reference.open()
  const deadline = performance.now() + 2_500
  for (const device of DEVICES) {
    const wanted = (await mailbox.info(device))?.pending
    while ((await store.mailbox.info(device))?.pending !== wanted) {
      if (performance.now() > deadline) {
        const answered = JSON.stringify(await store.mailbox.info(device))
        throw new Error(`pending of ${device} is not ${wanted} in time, but ${answered}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
