// The scripts of ordinary pub/sub as calls. What they mean is in lua/; what is promised, in core/ports/shared-sessions.ts.

import { OutcomeUnknown, StoreUnavailable } from '../../../errors.js'
import type { OrdinaryMessage } from '../../../model/ordinary-message.js'
import type { StoredSubscription } from '../../../ports/session-store.js'
import type {
  HeldConnection,
  SharedConnection,
  SharedDrops,
  SharedOpening,
  SharedSession,
} from '../../../ports/shared-sessions.js'
import type { Argument } from '../connections.js'
import { changeKeys, type StoreContext } from '../device-scripts.js'
import { ORDINARY_ROOT } from '../keys.js'
import { bytesOf, listOf, numberOf, textOf } from '../reply.js'
import type { ScriptName } from '../script-loader.js'
import { decodeMessage, decodeSubscription, encodeMessage, encodeSubscription } from '../session-codec.js'

export type Received = SharedConnection & { readonly packetId: number }

export interface Publish {
  readonly message: OrdinaryMessage
  readonly received: Received | null
}

export interface UplinkWill {
  readonly id: string
  readonly message: OrdinaryMessage
}

export interface Alive {
  /** False: the node was taken for dead. */
  readonly known: boolean
  /** There is more to clear up. */
  readonly more: boolean
  readonly sessions: number
  readonly retained: number
  readonly retainedBytes: number
  readonly expired: number
  readonly uplinkWills: readonly UplinkWill[]
  readonly drops: SharedDrops
  /** Redis' time, milliseconds. */
  readonly now: number
}

const flag = (value: boolean): string => (value ? '1' : '0')

const dropsOf = (values: readonly unknown[]): SharedDrops => ({
  queue: numberOf(values[0]),
  retained: numberOf(values[1]),
  node: numberOf(values[2]),
})

const replaced = (): StoreUnavailable => new StoreUnavailable('the client has another connection')
const unknownNode = (): StoreUnavailable => new StoreUnavailable('this node is not known to the others')

export class OrdinaryCalls {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  get canSend(): boolean {
    return this.#context.connections.canSend(ORDINARY_ROOT)
  }

  async open(node: string, opening: SharedOpening): Promise<SharedSession | null> {
    const { client, conn, clean, uses, will } = opening
    const body = will === null ? '' : encodeMessage(will)
    const reply = await this.#run('ordinary-open', [node, client, conn, flag(clean), flag(uses), body])
    if (!Array.isArray(reply)) throw unknownNode()
    const values = listOf(reply)
    if (numberOf(values[0]) === 0) return null
    const [next = 1, count = 0, bytes = 0, sent = 0] = values.slice(1, 5).map(numberOf)
    const fields = listOf(values[5]).map(textOf)
    const subscriptions: StoredSubscription[] = []
    for (let i = 1; i < fields.length; i += 2) {
      subscriptions.push(decodeSubscription(fields[i - 1] ?? '', fields[i] ?? ''))
    }
    return { subscriptions, received: listOf(values[6]).map(numberOf), next, count, bytes, sent }
  }

  async leave(
    node: string,
    { client, conn }: SharedConnection,
    { sent, publishesWill }: { readonly sent: number; readonly publishesWill: boolean },
  ): Promise<SharedDrops> {
    return dropsOf(listOf(await this.#run('ordinary-leave', [node, client, conn, sent, flag(publishesWill)])))
  }

  /**
   * What each came to. In as many steps as it takes, none of which keeps Redis for long; no other message of any node comes in
   * between.
   */
  async publish(
    publishes: readonly Publish[],
  ): Promise<{ readonly outcomes: ReadonlyArray<Error | null>; readonly drops: SharedDrops }> {
    const args = publishes.map(({ message, received }): readonly Argument[] => {
      const { topic, qos, retain, payload } = message
      const noted = received === null ? ['', '', ''] : [received.client, received.conn, received.packetId]
      return [topic, qos + (retain ? 4 : 0), asBuffer(payload), ...noted]
    })
    const outcomes: Array<Error | null> = []
    const drops = { queue: 0, retained: 0, node: 0 }
    let busy = false
    while (busy || outcomes.length < args.length) {
      try {
        const values = listOf(await this.#run('ordinary-publish', args.slice(outcomes.length).flat()))
        const { queue, retained, node } = dropsOf(values)
        drops.queue += queue
        drops.retained += retained
        drops.node += node
        busy = numberOf(values[3]) === 1
        outcomes.push(...values.slice(4).map((value) => (numberOf(value) === 1 ? null : replaced())))
      } catch (error) {
        if (!(error instanceof Error) || outcomes.length === 0) throw error
        // The last one is begun, and others go on with it; those behind it are as the error says.
        if (busy) outcomes[outcomes.length - 1] ??= new OutcomeUnknown(error.message, { cause: error })
        while (outcomes.length < args.length) outcomes.push(error)
        break
      }
    }
    return { outcomes, drops }
  }

  async subscribe(
    node: string,
    { client, conn }: SharedConnection,
    stored: boolean,
    filters: readonly StoredSubscription[],
  ): Promise<number> {
    const args = filters.flatMap((subscription): Argument[] => [
      subscription.filter,
      subscription.qos,
      encodeSubscription(subscription),
    ])
    const since = numberOf(await this.#run('ordinary-subscribe', [node, client, conn, flag(stored), ...args]))
    if (since === -1) throw replaced()
    if (since === -2) throw unknownNode()
    return since
  }

  async unsubscribe(node: string, { client, conn }: SharedConnection, filters: readonly string[]): Promise<void> {
    const done = numberOf(await this.#run('ordinary-unsubscribe', [node, client, conn, ...filters]))
    if (done === 0) throw replaced()
  }

  async forgetFilters(node: string, filters: readonly string[]): Promise<void> {
    await this.#run('ordinary-unsubscribe', [node, '', '', ...filters])
  }

  async retained(
    { client, conn }: SharedConnection,
    since: number,
    topics: ReadonlyArray<readonly [topic: string, qos: number]>,
  ): Promise<SharedDrops> {
    const values = listOf(await this.#run('ordinary-retained', [client, conn, since, ...topics.flat()]))
    if (numberOf(values[3]) === 0) throw replaced()
    return dropsOf(values)
  }

  async remove(removals: ReadonlyArray<SharedConnection & { readonly numbers: readonly number[] }>): Promise<void> {
    const args = removals.flatMap(({ client, conn, numbers }): Argument[] => [client, conn, numbers.length, ...numbers])
    await this.#run('ordinary-remove', args)
  }

  async handshake({ client, conn }: SharedConnection, step: 'release' | 'forget', number: number): Promise<void> {
    if (numberOf(await this.#run('ordinary-handshake', [client, conn, step, number])) === 0) throw replaced()
  }

  async seen(node: string, next: string, bytes: number, gap: boolean): Promise<void> {
    await this.#run('ordinary-seen', [node, next, bytes, flag(gap)])
  }

  /** `declaresAt`: what Redis' time is thought to be, if others may be declared dead; else 0. */
  async live(
    node: string,
    what: 'join' | 'renew' | 'leave',
    { declaresAt, clears }: { readonly declaresAt: number; readonly clears: boolean },
  ): Promise<Alive> {
    const values = listOf(await this.#run('ordinary-live', [node, what, declaresAt, flag(clears)]))
    const [known = 0, more = 0, sessions = 0, retained = 0, retainedBytes = 0, expired = 0] = values
      .slice(0, 6)
      .map(numberOf)
    const wills = listOf(values[6]).map(bytesOf)
    const uplinkWills: UplinkWill[] = []
    for (let i = 1; i < wills.length; i += 2) {
      uplinkWills.push({ id: textOf(wills[i - 1]), message: decodeMessage(bytesOf(wills[i])) })
    }
    const drops = dropsOf(values.slice(7))
    const now = numberOf(values[10])
    return { known: known === 1, more: more === 1, sessions, retained, retainedBytes, expired, uplinkWills, drops, now }
  }

  async uplinkWillStored(id: string): Promise<void> {
    await this.#run('ordinary-uplinked', [id])
  }

  /** Of each the number that the next message of its queue gets; null: it is not the client's any more. */
  async move(from: string, to: string, held: readonly HeldConnection[]): Promise<ReadonlyArray<number | null>> {
    const args = held.flatMap(({ client, conn, hasWill }) => [client, conn, flag(hasWill)])
    const values = listOf(await this.#run('ordinary-move', [from, to, ...args])).map(numberOf)
    return values.map((next) => (next === -1 ? null : next))
  }

  async interests(from: string, to: string, filters: readonly string[]): Promise<void> {
    await this.#run('ordinary-interests', [from, to, ...filters])
  }

  async end(client: string): Promise<void> {
    await this.#run('ordinary-end', [client])
  }

  #run(name: ScriptName, args: readonly Argument[]): Promise<unknown> {
    return changeKeys(this.#context, name, [ORDINARY_ROOT], args)
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
