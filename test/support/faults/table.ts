// The rows of the scenarios, and the table that is made of them.

import { appendFile, readFile } from 'node:fs/promises'
import type { Row } from './scenario.js'

/** In the environment: the file that collects the rows of several programs. Without it each prints its own table. */
export const ROWS_VARIABLE = 'POSTRIDER_FAULTS_ROWS'

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

const COLUMNS: ReadonlyArray<readonly [title: string, of: (row: Row) => string | number]> = [
  ['scenario', ({ scenario }) => scenario],
  ['accepted', ({ accepted }) => accepted],
  ['delivered', ({ delivered }) => delivered],
  ['lost', ({ lost, lostTail }) => (lostTail === 0 ? lost : `${lost} + ${lostTail} of the tail`)],
  ['reordered', ({ reordered }) => reordered],
  ['repeated to handlers', ({ handledAgain }) => handledAgain],
  ['plain repeats, allowed', ({ allowed }) => allowed],
  ['not allowed', ({ repeated }) => repeated],
  ['resets', ({ resets }) => resets],
  ['connects', ({ connects }) => connects],
  ['longest without an accept', ({ refusedMs }) => seconds(refusedMs)],
  ['recovered after', ({ recoveredMs }) => seconds(recoveredMs)],
  ['latency p50 / p99 / max, ms', ({ latency: { p50, p99, max } }) => `${p50} / ${p99} / ${max}`],
]

/** As lines of Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, of]) => String(of(row))))]
  const widths = COLUMNS.map((_column, i) => Math.max(...cells.map((line) => line[i]?.length ?? 0)))
  const lines = cells.map((line) => `| ${line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`)
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

/** At the end of a program. */
export async function publish(rows: readonly Row[]): Promise<void> {
  const file = process.env[ROWS_VARIABLE]
  if (file === undefined) process.stderr.write(`\n${tableOf(rows)}\n`)
  else await appendFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
}

const isRow = (value: unknown): value is Row => typeof value === 'object' && value !== null && 'scenario' in value

/** What several programs have published. */
export async function readRows(file: string): Promise<readonly Row[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line))
    .filter(isRow)
}
