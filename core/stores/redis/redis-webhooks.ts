// The WebhookStore port on Redis. All keys share the slot of the log of events, so that one step may touch them together, and a
// failover never brings a cursor back without the log that it is a place in.

import { decodeWebhook, encodeWebhook } from '../../model/webhook-record.js'
import type { Lease, ProgressChange, Webhook, WebhookStore } from '../../ports/webhook-store.js'
import { CallGate } from '../call-gate.js'
import { ask, changeKeys, type StoreContext, timeArgument } from './device-scripts.js'
import { WEBHOOK_TOKENS_KEY, webhookKeys, WEBHOOKS_KEY } from './keys.js'
import { listOf, numberOf, textOf } from './reply.js'

export class RedisWebhooks implements WebhookStore {
  readonly #context: StoreContext
  readonly #gate = new CallGate()

  constructor(context: StoreContext) {
    this.#context = context
  }

  put(webhook: Webhook, was: Webhook | null, cursors: ReadonlyMap<string, string>): Promise<boolean> {
    return this.#gate.run(async () => {
      const { id } = webhook
      const [cursorsKey] = webhookKeys(id)
      const before = was === null ? '' : encodeWebhook(was)
      const args = [id, encodeWebhook(webhook), before, ...[...cursors].flat()]
      return numberOf(await changeKeys(this.#context, 'webhook-put', [WEBHOOKS_KEY, cursorsKey], args)) === 1
    })
  }

  get(id: string): Promise<Webhook | null> {
    return this.#gate.run(async () => {
      const found = await ask(this.#context, 'hget', [WEBHOOKS_KEY, id])
      return found === null ? null : decodeWebhook(textOf(found))
    })
  }

  list(): Promise<readonly Webhook[]> {
    return this.#gate.run(async () => {
      const found = listOf(await ask(this.#context, 'hvals', [WEBHOOKS_KEY]))
      const order = (a: Webhook, b: Webhook): number => (a.id < b.id ? -1 : 1)
      return found.map((value) => decodeWebhook(textOf(value))).toSorted(order)
    })
  }

  remove(id: string): Promise<boolean> {
    return this.#gate.run(async () => {
      const keys = [WEBHOOKS_KEY, ...webhookKeys(id)]
      return numberOf(await changeKeys(this.#context, 'webhook-remove', keys, [id])) === 1
    })
  }

  acquire(id: string, node: string, ttlMs: number): Promise<Lease | null> {
    return this.#gate.run(async () => {
      const keys = [WEBHOOKS_KEY, ...webhookKeys(id), WEBHOOK_TOKENS_KEY]
      const args = [timeArgument(this.#context), id, node, ttlMs]
      const reply = await changeKeys(this.#context, 'webhook-acquire', keys, args)
      if (reply === null) return null
      const [token, cursors, parked] = listOf(reply)
      const inOrder = pairsOf(parked).map(([key, value]) => ({ key, value }))
      inOrder.sort((a, b) => (a.key < b.key ? -1 : 1))
      return { token: numberOf(token), progress: { cursors: new Map(pairsOf(cursors)), parked: inOrder } }
    })
  }

  commit(id: string, token: number, { cursors, park, unpark }: ProgressChange, ttlMs: number): Promise<boolean> {
    return this.#gate.run(async () => {
      const args = [
        timeArgument(this.#context),
        token,
        ttlMs,
        cursors.size,
        ...[...cursors].flat(),
        park.length,
        ...park.flatMap(({ key, value }) => [key, value]),
        ...unpark,
      ]
      return numberOf(await changeKeys(this.#context, 'webhook-commit', webhookKeys(id), args)) === 1
    })
  }

  release(id: string, token: number): Promise<void> {
    return this.#gate.run(async () => {
      const [, , lease] = webhookKeys(id)
      await changeKeys(this.#context, 'webhook-release', [lease], [token])
    })
  }

  close(): Promise<void> {
    return this.#gate.close()
  }
}

/** A hash, as HGETALL answers it. */
function pairsOf(reply: unknown): Array<readonly [key: string, value: string]> {
  const flat = listOf(reply)
  return Array.from({ length: flat.length / 2 }, (_, i) => [textOf(flat[i * 2]), textOf(flat[i * 2 + 1])] as const)
}
