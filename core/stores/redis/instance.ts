// Which Redis answers. A generation is a value that no start and no promotion had before: the process's run id together with
// the replication id of the master, which changes whenever a replica is promoted (ADR 12), and the store's mark, if it has one: a new
// one for each `postrider generation new`, for whoever put older data into a server that went on running.

import { createHash } from 'node:crypto'
import { StartupError } from '../../errors.js'

/** What INFO says of one server, as far as it matters here. */
export interface ServerInfo {
  readonly version: string
  readonly runId: string
  readonly replicationId: string
  readonly master: boolean
  readonly aof: boolean
  readonly maxmemory: number
  readonly evictionPolicy: string
  readonly cluster: boolean
}

export interface Instance {
  readonly replicationId: string
  readonly generation: string
}

export const infoFields = (text: string): ReadonlyMap<string, string> =>
  new Map(
    text.split('\r\n').flatMap((line) => {
      const at = line.indexOf(':')
      return at < 1 || line.startsWith('#') ? [] : [[line.slice(0, at), line.slice(at + 1)] as const]
    }),
  )

export function parseInfo(text: string): ServerInfo {
  const fields = infoFields(text)
  const field = (name: string): string => fields.get(name) ?? ''
  return {
    version: field('redis_version'),
    runId: field('run_id'),
    replicationId: field('master_replid'),
    master: field('role') === 'master',
    aof: field('aof_enabled') === '1',
    maxmemory: Number(field('maxmemory')),
    evictionPolicy: field('maxmemory_policy'),
    cluster: field('cluster_enabled') === '1',
  }
}

/** 64 bits of a hash, as an epoch or a generation is written. */
export const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest().toString('base64url', 0, 8)

/** `mark`: empty where nobody has ever asked for a new generation. */
export function instanceOf({ runId, replicationId }: ServerInfo, mark: string): Instance {
  return { replicationId, generation: shortHash(`${runId} ${replicationId}${mark === '' ? '' : ` ${mark}`}`) }
}

export interface Demands {
  /** Take a server without an append-only file: what it has accepted is gone with its process. */
  readonly allowNoAof: boolean
  /** Accepted messages are kept there. */
  readonly keepsMessages: boolean
  readonly cluster: boolean
}

/** Refuses (StartupError) what would lose accepted messages, or cannot run the scripts. `where`: without secrets. */
export function checkServer(info: ServerInfo, where: string, demands: Demands): void {
  const refuse = (why: string): never => {
    throw new StartupError(`${where}: ${why}`)
  }
  const major = Number(info.version.split('.', 1)[0])
  if (!(major >= 7)) refuse(`the server is Redis ${info.version || 'of unknown version'}, but 7 or newer is needed`)
  if (!info.master) {
    refuse('the server is a replica, which takes no writes; give the master, or the sentinels (redis+sentinel://)')
  }
  if (info.cluster && !demands.cluster) refuse('the server is a node of a Redis Cluster; give it as redis+cluster://')
  if (!info.cluster && demands.cluster) refuse('the server is no node of a Redis Cluster; give it as redis://')
  if (!demands.keepsMessages) return
  if (info.evictionPolicy !== 'noeviction') {
    refuse(
      `maxmemory-policy is ${info.evictionPolicy}, so Redis would drop accepted messages when its memory is used up; set it to noeviction`,
    )
  }
  if (!info.aof && !demands.allowNoAof) {
    refuse(
      'there is no append-only file, so accepted messages would be gone with the server; set appendonly yes, or allow it with --redis-no-aof',
    )
  }
}
