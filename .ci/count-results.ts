// Counts the tests in a report of tap's reporter `jsonstream`: how many passed, failed, were skipped, and why.
//
// A test is a subtest without subtests of its own; assertions are not counted. One that has a skipped assertion in it, or that
// was skipped as a whole, counts as skipped. A file or group that failed although no test in it did (a crash, a timeout, a plan
// that was not met) counts as one failed test.

import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

export interface Problem {
  readonly test: string
  /** Why it was skipped, or what tap says about the failure. */
  readonly reason: string
}

export interface Counts {
  readonly passed: number
  readonly failed: readonly Problem[]
  readonly skipped: readonly Problem[]
}

/** The reasons for which a test may be skipped here: everything else that is missing is to be installed. */
const ALLOWED_SKIPS: readonly RegExp[] = [
  // Debian does not package the server.
  /\bMongoDB\b/,
  // Hours of exploring; `.ci/run` with CI_LONG=1 does it.
  ...(process.env['CI_LONG'] === undefined ? [/^CI_LONG=1 is not set$/] : []),
]

export function maySkip(reason: string): boolean {
  return ALLOWED_SKIPS.some((allowed) => allowed.test(reason))
}

interface Level {
  subtests: number
  failures: string
  readonly skips: Problem[]
  readonly failedBefore: number
}

interface Report {
  readonly name?: unknown
  readonly fullname?: unknown
  /** Of a start or an end: how deep it is. */
  readonly level?: unknown
  readonly ok?: unknown
  readonly skip?: unknown
  readonly diag?: unknown
}

function isReport(value: unknown): value is Report {
  return typeof value === 'object' && value !== null
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function skipReason(report: Report): string | null {
  if (typeof report.skip === 'string' && report.skip !== '') return report.skip
  return report.skip === undefined || report.skip === false ? null : textOf(report.name)
}

/** Throws RangeError when the report is not complete, which is a failure of the run itself. */
export function countResults(jsonStream: string): Counts {
  let passed = 0
  let complete = false
  const failed: Problem[] = []
  const skipped: Problem[] = []
  const stack: Level[] = []

  const end = (report: Report, level: Level): void => {
    const test = textOf(report.fullname)
    const skip = skipReason(report)
    // In a file or a group each skip is a test; in a test all of them together make it a skipped one.
    const isTest = level.subtests === 0 && (stack.length > 1 || level.skips.length === 0)
    if (!isTest) skipped.push(...level.skips)
    if (report.ok !== true) {
      const reason = level.failures === '' ? JSON.stringify(report.diag ?? null) : level.failures
      if (failed.length === level.failedBefore) failed.push({ test, reason })
    } else if (skip !== null) {
      skipped.push({ test, reason: skip })
    } else if (isTest && level.skips.length > 0) {
      skipped.push({ test, reason: level.skips.map(({ reason }) => reason).join('; ') })
    } else if (isTest) {
      passed++
    }
  }

  for (const line of jsonStream.split('\n')) {
    if (line === '') continue
    const event: unknown = JSON.parse(line)
    if (!Array.isArray(event)) throw new RangeError('a line of the report is no event')
    const [kind, report]: unknown[] = event
    if (!isReport(report)) continue
    const level = stack[stack.length - 1]
    if (kind === 'start') {
      if (level !== undefined) level.subtests++
      stack.push({ subtests: 0, failures: '', skips: [], failedBefore: failed.length })
    } else if (kind === 'end') {
      // A title with a `#` in it has no event of its end: whatever is deeper than what ends here has ended before.
      if (typeof report.level === 'number') stack.length = Math.min(stack.length, report.level + 1)
      const ended = stack.pop()
      if (ended !== undefined && stack.length > 0) end(report, ended)
      complete = stack.length === 0
    } else if (kind === 'fail' && level !== undefined) {
      level.failures += `${textOf(report.name)} ${JSON.stringify(report.diag ?? null)}\n`
    } else if ((kind === 'skip' || kind === 'todo') && level !== undefined) {
      level.skips.push({ test: textOf(report.fullname), reason: skipReason(report) ?? textOf(report.name) })
    }
  }
  if (!complete) throw new RangeError('the report ends before the tests did')
  return { passed, failed, skipped }
}

/** Prints the failures, the skips, and as the last line the three counts. */
function main(file: string | undefined, otherFailures: number): void {
  let counts: Counts = { passed: 0, failed: [], skipped: [] }
  let broken = otherFailures
  try {
    const report = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8') : ''
    if (report === '') throw new RangeError('the tests left no report')
    counts = countResults(report)
  } catch (error) {
    broken++
    console.log(`not counted: ${error instanceof Error ? error.message : String(error)}`)
  }
  const forbidden = counts.skipped.filter(({ reason }) => !maySkip(reason))
  for (const { test, reason } of counts.failed) console.log(`FAILED  ${test}\n        ${reason}`)
  for (const { test, reason } of counts.skipped) console.log(`skipped ${test}: ${reason}`)
  for (const { test } of forbidden) console.log(`may not be skipped here: ${test}`)
  if (counts.passed === 0) broken++
  console.log(`${counts.passed} passed, ${counts.failed.length + broken} failed, ${counts.skipped.length} skipped`)
  process.exitCode = counts.failed.length + broken + forbidden.length > 0 ? 1 : 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main(process.argv[2], Number(process.argv[3] ?? 0))
}
