// What a process with many devices is told, and what it says.

export interface CrowdOrder {
  readonly url: string
  readonly prefix: string
  readonly count: number
  readonly tokenSecret: string
}

export interface CrowdWelcome {
  /** When the attempt was to begin. */
  readonly due: number
  readonly came: number
}

export interface CrowdLine {
  readonly live: number
  readonly welcomes: readonly CrowdWelcome[]
  /** Codes of those that gave up. */
  readonly ended: readonly string[]
}

export const isCrowdOrder = (order: unknown): order is CrowdOrder =>
  typeof order === 'object' && order !== null && 'tokenSecret' in order

export const isCrowdLine = (line: unknown): line is CrowdLine =>
  typeof line === 'object' && line !== null && 'welcomes' in line
