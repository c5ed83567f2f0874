// Asks every master how it is, from time to time: memory, persistence, replicas. What it says is shown as metrics, so that the
// operators of the platform are told of a Redis that will soon refuse, or loses what it accepts.

import type { RedisConnections } from './connections.js'
import { infoFields } from './instance.js'
import type { RedisCounters, RedisServerReport } from '../../metrics/redis-counters.js'

const INTERVAL_MS = 10_000

/** INFO's words, as far as they matter here. */
export function reportOf(server: string, info: string): RedisServerReport {
  const fields = infoFields(info)
  const numberAt = (name: string): number => Number(fields.get(name) ?? 0)
  const isOk = (name: string): boolean => (fields.get(name) ?? 'ok') === 'ok'
  return {
    server,
    usedMemoryBytes: numberAt('used_memory'),
    maxMemoryBytes: numberAt('maxmemory'),
    connectedReplicas: numberAt('connected_slaves'),
    aofEnabled: fields.get('aof_enabled') === '1',
    aofOk: isOk('aof_last_write_status') && isOk('aof_last_bgrewrite_status'),
    rdbOk: isOk('rdb_last_bgsave_status'),
  }
}

export function watchServers(
  connections: Pick<RedisConnections, 'askMasters'>,
  counters: RedisCounters,
  intervalMs = INTERVAL_MS,
): { stop(): void } {
  let asking = false
  const ask = async (): Promise<void> => {
    if (asking) return
    asking = true
    const answers = await connections.askMasters()
    counters.servers = answers.flatMap(({ server, info }) => (info === null ? [] : [reportOf(server, info)]))
    counters.reportsFailed += answers.filter(({ info }) => info === null).length
    asking = false
  }
  const timer = setInterval(() => void ask(), intervalMs)
  timer.unref()
  void ask()
  return { stop: () => clearInterval(timer) }
}
