// Which server answers, and since when. A generation is a value that no start and no promotion had before: a mark in the database
// (a new one for each `postrider generation new`, for whoever restored a backup) with the process and the election of the primary.

import { createHash } from 'node:crypto'
import type { ServerDescription } from 'mongodb'

/** 64 bits of a hash, as an epoch or a generation is written. */
export const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest().toString('base64url', 0, 8)

/** As far as it says who answers. */
export type Description = Pick<ServerDescription, 'type' | 'topologyVersion' | 'electionId'>

/**
 * What tells this server's present term from every other; null: it takes no writes. Routers (mongos, and services that speak for
 * many servers) say nothing of who is behind them: there the mark alone counts, and what a majority had stays through elections.
 */
export function instanceOf({ type, topologyVersion, electionId }: Description): string | null {
  if (type === 'Mongos' || type === 'LoadBalancer') return 'router'
  if (type !== 'RSPrimary' && type !== 'Standalone') return null
  return `${topologyVersion?.processId.toHexString() ?? ''} ${electionId?.toHexString() ?? ''}`
}

export const generationOf = (mark: string, instance: string): string => shortHash(`${mark} ${instance}`)
