// Copies everything that guarantees rest on from one store to another, while neither is served. Every step can be done again, so a
// migration that was cut goes on by beginning anew: what is there already is written once more as it is.

import { StartupError } from '../errors.js'
import type { Uplink } from '../ports/uplink.js'
import type { WebhookStore } from '../ports/webhook-store.js'
import type { CopiedPorts, StoreCopy } from './store-copy.js'

export interface Migrated {
  devices: number
  /** That wait. */
  messages: number
  dedupIds: number
  apiKeys: number
  revocations: number
  uplinks: number
  webhooks: number
  /** Recorded and not yet sent to a webhook: they are not copied. */
  eventsNotSent: number
  /** It went on with one that was cut. */
  resumed: boolean
}

const PAGE = 200
const PAGE_BYTES = 4 * 1024 * 1024
/** Under way at one time. */
const DEVICES_AT_ONCE = 16
const LEASE_MS = 60_000
/** Names of the logs in webhooks' progress. */
const UPLINK_LOG = 'uplink'

export async function migrate(
  from: StoreCopy,
  to: StoreCopy,
  onProgress: (devices: number) => void,
): Promise<Migrated> {
  const done: Migrated = {
    devices: 0,
    messages: 0,
    dedupIds: 0,
    apiKeys: 0,
    revocations: 0,
    uplinks: 0,
    webhooks: 0,
    eventsNotSent: 0,
    resumed: await to.begin(),
  }
  await copyDevices(from, to, done, onProgress)
  const revocations = []
  for await (const each of from.revocations()) revocations.push(each)
  const source = await from.ports()
  try {
    const target = await to.ports()
    try {
      for (const { device, at, keepUntil } of revocations) await target.credentials.revoke(device, at, keepUntil)
      done.revocations = revocations.length
      done.apiKeys = await copyKeys(source, target)
      const places = await copyUplink(source.uplink, target.uplink, done)
      await copyWebhooks(source, target.webhooks, places, done)
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
  await to.finish()
  return done
}

async function copyDevices(
  from: StoreCopy,
  to: StoreCopy,
  done: Migrated,
  onProgress: (devices: number) => void,
): Promise<void> {
  let under: Array<Promise<void>> = []
  const settle = async (): Promise<void> => {
    await Promise.all(under)
    under = []
    onProgress(done.devices)
  }
  for await (const copy of from.devices()) {
    under.push(to.put(copy))
    done.devices++
    done.messages += copy.pending
    done.dedupIds += copy.dedups.length
    if (under.length === DEVICES_AT_ONCE) await settle()
  }
  await settle()
}

async function copyKeys(source: CopiedPorts, target: CopiedPorts): Promise<number> {
  const keys = await source.credentials.listKeys()
  for (const key of keys) if ((await target.credentials.getKey(key.id)) === null) await target.credentials.addKey(key)
  return keys.length
}

/** In order, each once: its id in the old log is its dedup id in the new one. Answers the new id for each old one. */
async function copyUplink(source: Uplink, target: Uplink, done: Migrated): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>()
  for (let after: string | null = null; ;) {
    const page = await source.read({ after, limit: PAGE, maxBytes: PAGE_BYTES })
    if (page === null) return places
    for (const { id, device, channel, contentType, will, payload } of page.uplinks) {
      const uplink = { device, channel, contentType, will, payload, dedupId: `migrated ${id}` }
      const [result] = await target.append([uplink])
      if (result?.ok !== true)
        throw new StartupError(`the uplink ${id} does not fit into the new store: raise --uplink-max`)
      places.set(id, result.id)
      after = id
      done.uplinks++
    }
    if (!page.more) return places
  }
}

/** Each as it is set, with what is parked, and with its place in the log of uplink. In the log of events there is nothing to read yet. */
async function copyWebhooks(
  source: CopiedPorts,
  target: WebhookStore,
  places: ReadonlyMap<string, string>,
  done: Migrated,
): Promise<void> {
  for (const webhook of await source.webhooks.list()) {
    const held = await source.webhooks.acquire(webhook.id, 'migration', LEASE_MS)
    if (held === null)
      throw new StartupError(`a node still sends for the webhook ${webhook.id}: stop all nodes, and wait 5 s`)
    const { cursors, parked } = held.progress
    const uplink = places.get(cursors.get(UPLINK_LOG) ?? '')
    await target.put(webhook, null, new Map())
    const lease = await target.acquire(webhook.id, 'migration', LEASE_MS)
    if (lease === null) throw new StartupError(`the webhook ${webhook.id} is held in the new store`)
    const place: ReadonlyArray<readonly [string, string]> = uplink === undefined ? [] : [[UPLINK_LOG, uplink]]
    await target.commit(webhook.id, lease.token, { cursors: new Map(place), park: parked, unpark: [] }, LEASE_MS)
    await target.release(webhook.id, lease.token)
    await source.webhooks.release(webhook.id, held.token)
    const events = await source.events.read({ after: cursors.get('events') ?? null, limit: 1 })
    if (webhook.enabled && events !== null) done.eventsNotSent += events.events.length + events.behind
    done.webhooks++
  }
}
