// The databases inside the environment, and all their keys.

import { createHash } from 'node:crypto'
import type { Database, RootDatabase } from 'lmdb'

/**
 * - `devices`: device id → record
 * - `messages`: (device number, seq) → message
 * - `dedup`: two databases used in turn by dedup window: (device number, hash of the id) → entry
 * - `journal`: (group, part) → changes
 * - `garbage`: device number → nothing: purged, its messages and dedup ids are still to be deleted
 * - `meta`: name → value
 * - `sequence`: one entry, whose version is the number of the last group stored
 * - `keys`, `revocations`: see credentials.ts
 * - `uplink`: (time, counter) → uplinks that were stored together; see uplink-codec.ts
 * - `events`: (time, counter) → events that were recorded together; see event-codec.ts
 * - `webhooks`: see lmdb-webhooks.ts
 * - `uplinkDedup`: two databases used in turn by day: hash of device and id → entry
 * - `sessions`: client id → record; `session-items`: (session number, kind, …) → subscription, received id, queued message
 * - `retained`: hash of the topic → message; `wills`: client id → message
 */
export interface Tables {
  readonly env: RootDatabase<Buffer, Buffer>
  readonly devices: Database<Buffer, Buffer>
  readonly messages: Database<Buffer, Buffer>
  readonly dedup: readonly [Database<Buffer, Buffer>, Database<Buffer, Buffer>]
  readonly journal: Database<Buffer, Buffer>
  readonly garbage: Database<Buffer, Buffer>
  readonly meta: Database<Buffer, Buffer>
  readonly sequence: Database<Buffer, Buffer>
  readonly keys: Database<Buffer, Buffer>
  readonly revocations: Database<Buffer, Buffer>
  readonly uplink: Database<Buffer, Buffer>
  readonly uplinkDedup: readonly [Database<Buffer, Buffer>, Database<Buffer, Buffer>]
  readonly events: Database<Buffer, Buffer>
  readonly webhooks: Database<Buffer, Buffer>
  readonly sessions: Database<Buffer, Buffer>
  readonly sessionItems: Database<Buffer, Buffer>
  readonly retained: Database<Buffer, Buffer>
  readonly wills: Database<Buffer, Buffer>
}

export function openTables(env: RootDatabase<Buffer, Buffer>): Tables {
  const table = (name: string): Database<Buffer, Buffer> =>
    env.openDB<Buffer, Buffer>({ name, encoding: 'binary', keyEncoding: 'binary' })
  return {
    env,
    devices: table('devices'),
    messages: table('messages'),
    dedup: [table('dedup-0'), table('dedup-1')],
    journal: table('journal'),
    garbage: table('garbage'),
    meta: table('meta'),
    sequence: openSequence(env),
    keys: table('keys'),
    revocations: table('revocations'),
    uplink: table('uplink'),
    uplinkDedup: [table('uplink-dedup-0'), table('uplink-dedup-1')],
    events: table('events'),
    webhooks: table('webhooks'),
    sessions: table('sessions'),
    sessionItems: table('session-items'),
    retained: table('retained'),
    wills: table('wills'),
  }
}

/** That table alone: also in an environment that is only read. */
export function openSequence(env: RootDatabase<Buffer, Buffer>): Database<Buffer, Buffer> {
  return env.openDB<Buffer, Buffer>({ name: 'sequence', encoding: 'binary', keyEncoding: 'binary', useVersions: true })
}

/** The device id's UTF-8 bytes: lists come in the order of bytes. */
export const deviceKey = (device: string): Buffer => Buffer.from(device, 'utf8')

/** u48 device number, u48 seq. */
export function messageKey(number: number, seq: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUIntBE(number, 0, 6)
  key.writeUIntBE(seq, 6, 6)
  return key
}

/** u48 device number, 16 bytes of hash. */
export function dedupKey(number: number, idHash: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(22)
  key.writeUIntBE(number, 0, 6)
  key.set(idHash, 6)
  return key
}

/** u48 group, u16 part. */
export function journalKey(group: number, part: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUIntBE(group, 0, 6)
  key.writeUInt16BE(part, 6)
  return key
}

export const journalKeyGroup = (key: Buffer): number => key.readUIntBE(0, 6)
export const journalKeyPart = (key: Buffer): number => key.readUInt16BE(6)

/** The first key of a device number: every key of it lies in [numberKey(n), numberKey(n + 1)). */
export function numberKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(6)
  key.writeUIntBE(number, 0, 6)
  return key
}

/** What an item of a session is; also their order. */
export const ITEM = { subscription: 1, received: 2, queued: 3 } as const

/** u48 session number, u8 kind, 16 bytes of hash. */
export function subscriptionKey(number: number, filter: string): Buffer {
  const key = Buffer.allocUnsafe(23)
  key.writeUIntBE(number, 0, 6)
  key.writeUInt8(ITEM.subscription, 6)
  key.set(textHash(filter), 7)
  return key
}

/** u48 session number, u8 kind, u16 packet id. */
export function receivedKey(number: number, packetId: number): Buffer {
  const key = Buffer.allocUnsafe(9)
  key.writeUIntBE(number, 0, 6)
  key.writeUInt8(ITEM.received, 6)
  key.writeUInt16BE(packetId, 7)
  return key
}

/** u48 session number, u8 kind, u48 place in the queue. */
export function queuedKey(number: number, place: number): Buffer {
  const key = Buffer.allocUnsafe(13)
  key.writeUIntBE(number, 0, 6)
  key.writeUInt8(ITEM.queued, 6)
  key.writeUIntBE(place, 7, 6)
  return key
}

export const itemKind = (key: Buffer): number => key.readUInt8(6)
export const itemPacketId = (key: Buffer): number => key.readUInt16BE(7)
export const itemPlace = (key: Buffer): number => key.readUIntBE(7, 6)

/** Topics and filters may be longer than a key. */
export const textHash = (text: string): Buffer => createHash('sha256').update(text).digest().subarray(0, 16)

export const metaKey = (name: string): Buffer => Buffer.from(name, 'latin1')
