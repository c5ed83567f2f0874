import type { Clock } from '../../core/clock.js'
import { StoreUnavailable } from '../../core/errors.js'
import {
  DEFAULT_UPLINK_LIMITS,
  type NewUplink,
  type StoredUplink,
  type Uplink,
  type UplinkLimits,
  type UplinkResult,
  uplinkSize,
  UPLINK_DEDUP_MS,
} from '../../core/ports/uplink.js'

/** What outlives a close. */
export interface ReferenceUplinkState {
  log: StoredUplink[]
  readonly ids: Map<string, { readonly first: StoredUplink; readonly body: string }>
  /** The last id that was given, as a number. */
  last: number
}

const bodyOf = ({ channel, contentType, will, payload }: NewUplink): string =>
  JSON.stringify([channel, contentType, will, Buffer.from(payload).toString('hex')])

/** Uplink in memory, the contract and nothing more. */
export function createReferenceUplink(state: ReferenceUplinkState, clock: Clock, given: Partial<UplinkLimits>): Uplink {
  const limits = { ...DEFAULT_UPLINK_LIMITS, ...given }
  let closed = false
  const check = (): void => {
    if (closed) throw new StoreUnavailable('the store is closed')
    expire()
  }
  const expire = (): void => {
    const expired = clock.now() - limits.retentionSeconds * 1000
    state.log = state.log.filter(({ at }) => at > expired)
  }
  const weight = (): number => state.log.reduce((sum, uplink) => sum + uplinkSize(uplink), 0)

  function append(item: NewUplink, full: Set<string>): UplinkResult {
    if (full.has(item.device)) return { ok: false, code: 'full' }
    const at = clock.now()
    const key = item.dedupId === null ? null : JSON.stringify([item.device, item.dedupId])
    const known = key === null ? undefined : state.ids.get(key)
    if (known !== undefined && at - known.first.at < UPLINK_DEDUP_MS) {
      if (known.body !== bodyOf(item)) return { ok: false, code: 'dedup_conflict' }
      return { ok: true, id: known.first.id, at: known.first.at, duplicate: true }
    }
    if (weight() + uplinkSize(item) > limits.maxBytes) {
      full.add(item.device)
      return { ok: false, code: 'full' }
    }
    const id = String(++state.last).padStart(12, '0')
    const { device, channel, contentType, will } = item
    const stored: StoredUplink = { id, at, device, channel, contentType, will, payload: Buffer.from(item.payload) }
    state.log.push(stored)
    if (key !== null) state.ids.set(key, { first: stored, body: bodyOf(item) })
    return { ok: true, id, at, duplicate: false }
  }

  return {
    get usage() {
      expire()
      return { count: state.log.length, bytes: weight() }
    },
    async append(items) {
      check()
      const full = new Set<string>()
      return items.map((item) => append(item, full))
    },
    async end() {
      check()
      return state.log.at(-1)?.id ?? null
    },
    async read({ after, limit, maxBytes }) {
      check()
      if (after !== null && !/^[0-9]{12}$/.test(after)) return null
      const rest = state.log.filter(({ id }) => after === null || id > after)
      let bytes = 0
      const end = rest.findIndex((uplink, i) => {
        bytes += uplinkSize(uplink)
        return i >= limit || (i > 0 && bytes > maxBytes)
      })
      return end < 0 ? { uplinks: rest, more: false } : { uplinks: rest.slice(0, end), more: true }
    },
    async close() {
      closed = true
    },
  }
}
