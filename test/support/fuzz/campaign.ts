// A campaign of random cases: each case follows from the seed and its number alone, so that one can be repeated.
//
//   POSTRIDER_FUZZ_SECONDS=30   how long (default 4; 600 with CI_LONG=1)
//   POSTRIDER_FUZZ_SEED=7       the seed (default: a random one, which is printed)
//   POSTRIDER_FUZZ_CASE=123     this case alone

import type { Test } from 'tap'
import { LONG } from '../road/wait.js'
import { Random } from './random.js'

export interface Campaign {
  readonly seconds: number
  readonly seed: number
  readonly only: number | null
}

function setting(name: string): number | null {
  const text = process.env[`POSTRIDER_FUZZ_${name}`] ?? ''
  if (text === '') return null
  const value = Number(text)
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`POSTRIDER_FUZZ_${name}: a number is expected`)
  return value
}

export function campaign(t: Test): Campaign {
  const seed = setting('SEED') ?? Math.floor(Math.random() * 1_000_000_000)
  const seconds = length()
  t.comment(`seed ${seed}, ${seconds} s; repeat with POSTRIDER_FUZZ_SEED=${seed}`)
  return { seed, seconds, only: setting('CASE') }
}

const length = (): number => setting('SECONDS') ?? (LONG ? 600 : 4)

/** Milliseconds that a campaign may take, with everything around it. */
export const patience = (): number => 2_000 * length() + 120_000

/** One case; rejects when something is wrong. */
export type RunCase = (random: Random, number: number) => Promise<void>

export interface Run {
  readonly cases: number
  /** The first faults, each with how to repeat it. */
  readonly faults: readonly string[]
}

const FAULTS_MAX = 5

/** Runs cases from number `from` on for so many seconds, `lanes` at a time; ends early when there are enough faults. */
export async function run(
  { seed, only }: Campaign,
  seconds: number,
  { from = 0, lanes = 8 }: { readonly from?: number; readonly lanes?: number },
  runCase: RunCase,
): Promise<Run> {
  const faults: string[] = []
  const end = performance.now() + seconds * 1_000
  let next = only ?? from
  const lane = async (): Promise<void> => {
    while (performance.now() < end && faults.length < FAULTS_MAX) {
      const number = next++
      try {
        await runCase(new Random(seed, number), number)
      } catch (error) {
        faults.push(
          `POSTRIDER_FUZZ_SEED=${seed} POSTRIDER_FUZZ_CASE=${number}: ${error instanceof Error ? error.message : String(error)}`,
        )
      }
      if (only !== null) return
    }
  }
  await Promise.all(Array.from({ length: only === null ? lanes : 1 }, lane))
  return { cases: next - from, faults }
}
