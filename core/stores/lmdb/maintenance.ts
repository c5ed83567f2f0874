// Slow work in the background: writing states whose time has come, forgetting old uplinks, deleting what purged devices left,
// and a walk over all records for what time alone does to them. Small steps, so that no request waits for one.

import type { Engine } from './engine.js'
import type { LmdbEvents } from './lmdb-events.js'
import type { LmdbUplink } from './lmdb-uplink.js'
import { numberKey } from './tables.js'

const TICK_MS = 250
/** Records looked at, and keys deleted, per tick. */
const WALK = 100
const DELETE = 1_000

export interface Maintenance {
  stop(): void
}

export function startMaintenance(engine: Engine, uplink: LmdbUplink, events: LmdbEvents): Maintenance {
  let walkedTo: string | null = null
  let failures = 0

  const tick = (): void => {
    try {
      engine.tick()
      uplink.expire()
      events.trim()
      deleteGarbage(engine)
      walkedTo = walk(engine, walkedTo)
      failures = 0
    } catch (error) {
      // The store may be resting after a failure; say it once.
      if (failures++ === 0) engine.log.warn({ err: error }, 'store_maintenance_failed')
    }
  }
  const timer = setInterval(tick, TICK_MS)
  return { stop: () => clearInterval(timer) }
}

function deleteGarbage(engine: Engine): void {
  const { tables, groups, dedup } = engine
  if (groups.resting) return
  let first: Buffer | null = null
  for (const key of tables.garbage.getKeys({ limit: 1 })) first = Buffer.from(key)
  if (first === null) return
  const number = first
  groups.enter().writes.push(() => {
    const end = numberKey(number.readUIntBE(0, 6) + 1)
    let count = 0
    for (const table of [tables.messages, tables.sessionItems]) {
      if (count >= DELETE) break
      for (const key of table.getKeys({ start: number, end, limit: DELETE - count })) {
        void table.remove(Buffer.from(key))
        count++
      }
    }
    count += dedup.forget(number, end, DELETE - count)
    if (count === 0) void tables.garbage.remove(number)
  })
}

/** Looks at some records; answers where it stopped, null when it came to the end. */
function walk(engine: Engine, after: string | null): string | null {
  if (engine.groups.resting) return after
  const now = engine.clock.now()
  let last: string | null = null
  let seen = 0
  for (const device of engine.directory.ids(after)) {
    if (seen++ >= WALK) return last
    last = device
    const state = engine.find(device)
    if (state === null) continue
    state.prune(now - engine.limits.retentionSeconds * 1000)
    // Claims go with their process, and nobody released these.
    if (state.claim === null && state.toldOfflineAt === 0) engine.ledger.tellOffline(state, now)
    const idle = state.claim === null && state.pending === 0 && state.subscription === null
    if (idle && now - state.usedAt > engine.limits.idleDeviceSeconds * 1000) engine.purge(state)
  }
  return null
}
