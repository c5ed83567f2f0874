// The WebhookStore port on the embedded store. Keys of the table:
//   d:<id>            the webhook, as core/model/webhook-record.ts writes it
//   c:<id>            how far it has got: {log: cursor} as JSON, format 1
//   p:<id> 0x00 <key> a parked event
// Leases are in memory: one process serves the store. Writes go with the group commits of the mailbox.

import { StoreUnavailable } from '../../errors.js'
import { decodeWebhook, encodeWebhook } from '../../model/webhook-record.js'
import type { Lease, ParkedEvent, ProgressChange, Webhook, WebhookStore } from '../../ports/webhook-store.js'
import type { Engine } from './engine.js'

const FORMAT = 1
const webhookKey = (id: string): Buffer => Buffer.from(`d:${id}`)
const cursorsKey = (id: string): Buffer => Buffer.from(`c:${id}`)
const parkedPrefix = (id: string): string => `p:${id}\0`
const DEFINITIONS = { start: Buffer.from('d:'), end: Buffer.from('d;') }

/** Smaller than what follows any of them. */
function parkedRange(id: string): { readonly start: Buffer; readonly end: Buffer } {
  return { start: Buffer.from(parkedPrefix(id)), end: Buffer.from(`p:${id}\u0001`) }
}

interface Held {
  readonly node: string
  readonly token: number
  until: number
}

export class LmdbWebhooks implements WebhookStore {
  readonly #engine: Engine
  readonly #held = new Map<string, Held>()
  #tokens = 0
  /** One change after the other: each decides by what is on disk. */
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  put(webhook: Webhook, was: Webhook | null, cursors: ReadonlyMap<string, string>): Promise<boolean> {
    return this.#inTurn(async () => {
      const { webhooks } = this.#engine.tables
      const stored = webhooks.get(webhookKey(webhook.id))?.toString('utf8') ?? null
      if (stored !== (was === null ? null : encodeWebhook(was))) return false
      const all = new Map([...decodeCursors(webhooks.get(cursorsKey(webhook.id))), ...cursors])
      await this.#write(() => {
        void webhooks.put(webhookKey(webhook.id), Buffer.from(encodeWebhook(webhook)))
        void webhooks.put(cursorsKey(webhook.id), encodeCursors(all))
      })
      return true
    })
  }

  get(id: string): Promise<Webhook | null> {
    return this.#inTurn(async () => {
      const value = this.#engine.tables.webhooks.get(webhookKey(id))
      return Promise.resolve(value === undefined ? null : decodeWebhook(value.toString('utf8')))
    })
  }

  list(): Promise<readonly Webhook[]> {
    return this.#inTurn(async () => {
      const found: Webhook[] = []
      for (const { value } of this.#engine.tables.webhooks.getRange(DEFINITIONS)) {
        found.push(decodeWebhook(value.toString('utf8')))
      }
      return Promise.resolve(found)
    })
  }

  remove(id: string): Promise<boolean> {
    return this.#inTurn(async () => {
      const { webhooks } = this.#engine.tables
      if (webhooks.get(webhookKey(id)) === undefined) return false
      const parked = Array.from(webhooks.getKeys(parkedRange(id)), (key) => Buffer.from(key))
      await this.#write(() => {
        for (const key of [webhookKey(id), cursorsKey(id), ...parked]) void webhooks.remove(key)
      })
      this.#held.delete(id)
      return true
    })
  }

  acquire(id: string, node: string, ttlMs: number): Promise<Lease | null> {
    return this.#inTurn(async () => {
      const { webhooks } = this.#engine.tables
      if (webhooks.get(webhookKey(id)) === undefined) return Promise.resolve(null)
      const now = this.#engine.clock.now()
      const held = this.#held.get(id)
      if (held !== undefined && held.until > now && held.node !== node) return null
      const token = ++this.#tokens
      this.#held.set(id, { node, token, until: now + ttlMs })
      const parked: ParkedEvent[] = []
      const from = parkedPrefix(id).length
      for (const { key, value } of webhooks.getRange(parkedRange(id))) {
        parked.push({ key: key.toString('utf8').slice(from), value: value.toString('utf8') })
      }
      return { token, progress: { cursors: decodeCursors(webhooks.get(cursorsKey(id))), parked } }
    })
  }

  commit(id: string, token: number, { cursors, park, unpark }: ProgressChange, ttlMs: number): Promise<boolean> {
    return this.#inTurn(async () => {
      const held = this.#held.get(id)
      if (held?.token !== token) return false
      held.until = this.#engine.clock.now() + ttlMs
      if (cursors.size + park.length + unpark.length === 0) return true
      const { webhooks } = this.#engine.tables
      const all = new Map([...decodeCursors(webhooks.get(cursorsKey(id))), ...cursors])
      await this.#write(() => {
        if (cursors.size > 0) void webhooks.put(cursorsKey(id), encodeCursors(all))
        for (const { key, value } of park) void webhooks.put(Buffer.from(parkedPrefix(id) + key), Buffer.from(value))
        for (const key of unpark) void webhooks.remove(Buffer.from(parkedPrefix(id) + key))
      })
      return true
    })
  }

  release(id: string, token: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#held.get(id)?.token === token) this.#held.delete(id)
      await Promise.resolve()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#turn.catch(() => undefined)
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the store is closed'))
    const result = this.#turn.then(call, call)
    this.#turn = result.catch(() => undefined)
    return result
  }

  async #write(write: () => void): Promise<void> {
    const group = this.#engine.groups.enter()
    group.writes.push(write)
    await group.done
  }
}

function encodeCursors(cursors: ReadonlyMap<string, string>): Buffer {
  return Buffer.from(JSON.stringify({ format: FORMAT, cursors: [...cursors] }))
}

function decodeCursors(value: Buffer | undefined): ReadonlyMap<string, string> {
  if (value === undefined) return new Map()
  const state: unknown = JSON.parse(value.toString('utf8'))
  const fields = typeof state === 'object' && state !== null ? new Map<string, unknown>(Object.entries(state)) : null
  const format = fields?.get('format')
  if (format !== FORMAT) throw new RangeError(`the progress of a webhook has the unknown format ${String(format)}`)
  const pairs = fields?.get('cursors')
  if (!Array.isArray(pairs)) throw new RangeError('the progress of a webhook is damaged')
  return new Map(
    pairs.map((pair: unknown) => {
      if (!Array.isArray(pair)) throw new RangeError('the progress of a webhook is damaged')
      const [log, cursor]: readonly unknown[] = pair
      return [String(log), String(cursor)] as const
    }),
  )
}
