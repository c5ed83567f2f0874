// A Redis as one side of a migration.

import { systemClock } from '../../clock.js'
import { EXCEPTION_REASONS } from '../../../protocol/codes.js'
import { StartupError } from '../../errors.js'
import type { Logger } from '../../log.js'
import type { ExceptionRange } from '../../model/exceptions.js'
import type { StoredMessage } from '../../model/message.js'
import type { MailboxLimits } from '../../ports/mailbox.js'
import { DEFAULT_SHARED_LIMITS } from '../../ports/shared-sessions.js'
import { DEFAULT_EVENT_LIMITS } from '../../ports/event-log.js'
import type { UplinkLimits } from '../../ports/uplink.js'
import {
  type CopiedDedup,
  type DeviceCopy,
  layEntries,
  MIGRATED_GENERATION,
  receiptsOf,
} from '../../migration/device-copy.js'
import { notEmpty, unfinished } from '../../migration/refusals.js'
import type { CopiedPorts, Revocation, StoreCopy } from '../../migration/store-copy.js'
import { describeLocation, parseRedisUrl, REDIS_URL_RULE } from '../../config/redis-location.js'
import { RedisConnections } from './connections.js'
import { change, look, scriptSettings, type StoreContext } from './device-scripts.js'
import { FORMAT } from './formats.js'
import {
  API_KEYS_KEY,
  deviceKeys,
  INDEX_SHARDS,
  indexKey,
  indexShardOf,
  META_KEY,
  revocationKey,
  UPLINK_LOG_KEY,
  WEBHOOKS_KEY,
} from './keys.js'
import { bodyLength, decodeEntry, writeBody } from './message-codec.js'
import { eventsKeyFor, openRedisStore } from './open.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'
import { loadScripts } from './script-loader.js'
import { oneServerShards } from './shards.js'
import { slotTags } from './slot.js'

const ENTRY_HEAD = 23
const RANGE = 35
/** Messages, or members, of one command. */
const PART = 200
const IDS = 1_000
const NOTHING = Buffer.alloc(0)

export interface CopyOptions {
  readonly url: string
  readonly limits: MailboxLimits
  readonly uplinkLimits: UplinkLimits
  readonly allowNoAof: boolean
  readonly log: Logger
}

export async function openRedisCopy(options: CopyOptions): Promise<StoreCopy> {
  const location = parseRedisUrl(options.url)
  if (location === null) throw new StartupError(`the URL of the Redis store is not of the form ${REDIS_URL_RULE}`)
  const { limits, uplinkLimits, allowNoAof, log } = options
  const scripts = loadScripts(
    scriptSettings(limits, uplinkLimits, DEFAULT_SHARED_LIMITS, DEFAULT_EVENT_LIMITS, location.kind === 'cluster'),
  )
  const connections = await RedisConnections.open({ location, log, wait: 0, allowNoAof })
  const tags = location.kind === 'cluster' ? slotTags() : null
  const context = { connections, scripts, clock: null, eventsKey: eventsKeyFor(tags), shards: oneServerShards() }
  return new RedisCopy(describeLocation(location), context, options)
}

class RedisCopy implements StoreCopy {
  readonly where: string
  readonly #context: StoreContext
  readonly #options: CopyOptions

  constructor(where: string, context: StoreContext, options: CopyOptions) {
    this.where = where
    this.#context = context
    this.#options = options
  }

  #command(name: string, args: readonly [string, ...Array<string | Buffer | number>]): Promise<unknown> {
    return this.#context.connections.command(name, args, true)
  }

  close(): Promise<void> {
    return this.#context.connections.close()
  }

  // ---- reading

  async *devices(): AsyncGenerator<DeviceCopy> {
    if ((await this.#command('hget', [META_KEY, 'migration'])) !== null) throw unfinished(this.where)
    for await (const device of this.#ids()) {
      const copy = await this.#read(device)
      if (copy !== null) yield copy
    }
  }

  async *#ids(): AsyncGenerator<string> {
    for (let shard = 0; shard < INDEX_SHARDS; shard++) {
      for (let from = 0; ; from += IDS) {
        const ids = listOf(await this.#command('zrange', [indexKey(shard), from, from + IDS - 1])).map(textOf)
        yield* ids
        if (ids.length < IDS) break
      }
    }
  }

  async #read(device: string): Promise<DeviceCopy | null> {
    const reply = await look(this.#context, 'copy-read', device, [])
    if (reply === null) return null
    const r = listOf(reply)
    const [, messagesKey, exceptionsKey, , evenKey, oddKey] = deviceKeys(device)
    // Counted from 1, as in lua/lib/record.lua.
    const number = (at: number): number => numberOf(r[at - 1] ?? 0)
    const flat = listOf(r[23])
    const cursor = number(7)
    const claimed = textOf(r[25]) !== ''
    const record = {
      device,
      createdAt: number(2),
      usedAt: number(3),
      lastSeenAt: number(4) === 0 ? null : number(4),
      head: number(5),
      headCumulative: number(6),
      cursor,
      cursorCumulative: number(8),
      sent: claimed ? number(5) : Math.max(number(9), number(30)),
      received: number(10),
      pending: number(11),
      pendingBytes: number(12),
      floor: number(19),
      subscription: textOf(r[27]) === '' ? null : textOf(r[27]),
      toldOfflineAt: number(33),
      epochs: Array.from({ length: flat.length / 2 }, (_, i) => ({
        epoch: textOf(flat[i * 2]),
        firstSeq: numberOf(flat[i * 2 + 1]),
      })),
      exceptions: await this.#exceptions(exceptionsKey),
    }
    const messages = await this.#messages(messagesKey, cursor)
    return {
      ...record,
      entries: layEntries(record, (seq) => messages.get(seq) ?? null),
      dedups: [...(await this.#dedups(evenKey)), ...(await this.#dedups(oddKey))].toSorted((a, b) => a.seq - b.seq),
    }
  }

  async #exceptions(key: string): Promise<readonly ExceptionRange[]> {
    const reply = listOf(await this.#command('zrange', [key, 0, -1, 'WITHSCORES']))
    return Array.from({ length: reply.length / 2 }, (_, i): ExceptionRange => {
      const member = bytesOf(reply[i * 2])
      const reason = EXCEPTION_REASONS[member.readUInt8(6) - 1]
      if (reason === undefined) throw new RangeError('an exception in Redis has an unknown reason')
      return {
        from: member.readUIntBE(0, 6),
        to: Number(textOf(reply[i * 2 + 1])),
        reason,
        at: member.readUIntBE(7, 6),
        bytes: member.readUIntBE(13, 6),
        cumulative: member.readUIntBE(19, 6),
        onWire: false,
      }
    })
  }

  async #messages(key: string, cursor: number): Promise<ReadonlyMap<number, StoredMessage>> {
    const messages = new Map<number, StoredMessage>()
    for (let from = 0; ; from += PART) {
      const raws = listOf(await this.#command('lrange', [key, from, from + PART - 1])).map(bytesOf)
      for (const [i, raw] of raws.entries()) {
        const seq = cursor + 1 + from + i
        // Of an exception only the head is left.
        if (raw.length > ENTRY_HEAD) messages.set(seq, decodeEntry(seq, raw))
      }
      if (raws.length < PART) return messages
    }
  }

  async #dedups(key: string): Promise<readonly CopiedDedup[]> {
    const found = new Map<string, CopiedDedup>()
    for (let from = '0', ended = false; !ended; ended = from === '0') {
      const [next, members] = listOf(await this.#command('hscan', [key, from, 'COUNT', IDS]))
      const reply = listOf(members).map(bytesOf)
      from = textOf(next)
      for (let i = 0; i + 1 < reply.length; i += 2) {
        const [idHash = NOTHING, value = NOTHING] = [reply[i], reply[i + 1]]
        found.set(idHash.toString('hex'), {
          idHash,
          bodyHash: value.subarray(0, 16),
          seq: value.readUIntBE(16, 6),
          at: value.readUIntBE(22, 6),
          epoch: value.toString('utf8', 28),
        })
      }
    }
    return [...found.values()]
  }

  async *revocations(): AsyncGenerator<Revocation> {
    const prefix = revocationKey('').slice(0, -1)
    for await (const key of this.#context.connections.scan(`${prefix}*`)) {
      const found = await this.#command('get', [key])
      const [, at = 0, keepUntil = 0] = found === null ? [] : textOf(found).split(' ').map(Number)
      if (keepUntil > systemClock.now()) yield { device: key.slice(prefix.length, -1), at, keepUntil }
    }
  }

  // ---- writing

  async begin(): Promise<boolean> {
    if ((await this.#command('hget', [META_KEY, 'migration'])) !== null) return true
    const kept = [
      API_KEYS_KEY,
      UPLINK_LOG_KEY,
      WEBHOOKS_KEY,
      ...Array.from({ length: INDEX_SHARDS }, (_, i) => indexKey(i)),
    ]
    for (const key of kept) if ((await this.#command('exists', [key])) !== 0) throw notEmpty(this.where)
    await this.#command('hset', [META_KEY, 'format', FORMAT, 'migration', 1])
    return false
  }

  /** The record comes last: without it nothing else of the device counts. */
  async put(copy: DeviceCopy): Promise<void> {
    const { device } = copy
    const [recordKey, messagesKey, exceptionsKey, expiriesKey, evenKey, oddKey] = deviceKeys(device)
    for (const key of [recordKey, messagesKey, exceptionsKey, expiriesKey, evenKey, oddKey])
      await this.#command('unlink', [key])
    let weight = copy.cursorCumulative
    const entries = copy.entries.map(({ at, expiresAt, size, message }) => {
      weight += size
      const raw = Buffer.alloc(ENTRY_HEAD + (message === null ? 0 : bodyLength(message)))
      raw.writeUInt8(FORMAT)
      raw.writeUIntBE(at, 1, 6)
      raw.writeUIntBE(expiresAt, 7, 6)
      raw.writeUIntBE(weight, 13, 6)
      raw.writeUInt32BE(size, 19)
      if (message !== null) writeBody(message, raw, ENTRY_HEAD)
      return raw
    })
    for (const part of partsOf(entries)) await this.#command('rpush', [messagesKey, ...part])
    const ranges = copy.exceptions.flatMap((range) => [range.to, packRange(range)])
    for (const part of partsOf(ranges)) await this.#command('zadd', [exceptionsKey, ...part])
    const waiting = copy.entries.filter(({ message, expiresAt }) => message !== null && expiresAt !== 0)
    for (const part of partsOf(waiting.flatMap(({ expiresAt, seq }) => [expiresAt, seq]))) {
      await this.#command('zadd', [expiriesKey, ...part])
    }
    const now = systemClock.now()
    const windowMs = this.#options.limits.dedupWindowSeconds * 1000
    const window = Math.floor(now / windowMs)
    const young = copy.dedups.filter(({ at }) => now - at < windowMs)
    const ids = young.flatMap(({ idHash, bodyHash, seq, at, epoch }) => {
      const value = Buffer.alloc(12)
      value.writeUIntBE(seq, 0, 6)
      value.writeUIntBE(at, 6, 6)
      return [idHash, Buffer.concat([bodyHash, value, Buffer.from(epoch)])]
    })
    for (const part of partsOf(ids)) await this.#command('hset', [window % 2 === 0 ? evenKey : oddKey, ...part])
    await this.#command('zadd', [indexKey(indexShardOf(device)), 0, device])
    const { createdAt, usedAt, lastSeenAt, head, headCumulative, cursor, cursorCumulative } = copy
    const { sent, received, pending, pendingBytes, exceptions, floor, toldOfflineAt } = copy
    const places = [head, headCumulative, cursor, cursorCumulative, sent, received, pending, pendingBytes]
    const lists = [waiting.length, exceptions.length, exceptions.at(-1)?.to ?? 0, floor, ids.length === 0 ? -1 : window]
    const told = [receiptsOf(copy.entries).at(-1) ?? 0, toldOfflineAt]
    const fields = [createdAt, usedAt, lastSeenAt ?? 0].concat(places, lists, told, [0, 0])
    const epochs = copy.epochs.flatMap(({ epoch, firstSeq }) => [epoch, firstSeq])
    await change(this.#context, 'copy-write', device, [
      ...fields,
      MIGRATED_GENERATION,
      copy.subscription ?? '',
      this.#context.shards.of(device),
      ...epochs,
    ])
  }

  async finish(): Promise<void> {
    await this.#command('hdel', [META_KEY, 'migration'])
  }

  ports(): Promise<CopiedPorts> {
    const { url, limits, uplinkLimits, allowNoAof, log } = this.#options
    return openRedisStore({ url, limits, uplinkLimits, allowNoAof, log, filling: true })
  }
}

function* partsOf<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < list.length; from += PART) yield list.slice(from, from + PART)
}

/** As lua/lib/exceptions.lua, on nobody's wire. */
function packRange({ from, reason, at, bytes, cumulative }: ExceptionRange): Buffer {
  const out = Buffer.alloc(RANGE)
  out.writeUIntBE(from, 0, 6)
  out.writeUInt8(EXCEPTION_REASONS.indexOf(reason) + 1, 6)
  out.writeUIntBE(at, 7, 6)
  out.writeUIntBE(bytes, 13, 6)
  out.writeUIntBE(cumulative, 19, 6)
  return out
}
