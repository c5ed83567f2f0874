import { pino } from 'pino'
import type { Logger } from '../../core/log.js'

/** A log that keeps what was logged. */
export function collectingLog(): {
  readonly log: Logger
  readonly entries: ReadonlyArray<Readonly<Record<string, unknown>>>
} {
  const entries: Array<Record<string, unknown>> = []
  const log = pino(
    { level: 'trace', formatters: { level: (level) => ({ level }) } },
    {
      write(line: string) {
        const entry: unknown = JSON.parse(line)
        if (typeof entry === 'object' && entry !== null) entries.push({ ...entry })
      },
    },
  )
  return { log, entries }
}
