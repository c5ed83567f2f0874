// The Mailbox port on Redis: each call on a device is one script (lua/), which does all of it in one atomic step. Nothing is kept
// in memory here.

import { StoreUnavailable } from '../../errors.js'
import { epochAt } from '../../model/epochs.js'
import { gapsBetween } from '../../model/gaps.js'
import type { NewMessage, Position } from '../../model/message.js'
import type {
  AckItem,
  AckResult,
  AppendResult,
  CancelResult,
  Claim,
  ClaimGranted,
  ClaimHeld,
  DeviceInfo,
  HeadResult,
  Mailbox,
  MessageState,
  PeekResult,
  ReadRequest,
  ReadResult,
  ResumeRequest,
  ResumeResult,
} from '../../ports/mailbox.js'
import { randomId } from '../../random-id.js'
import { ackAll } from './acks.js'
import { appendAll, claimOf } from './append.js'
import { CallGate } from '../call-gate.js'
import type { ClaimNodes } from './claim-nodes.js'
import { DeviceIndex } from './device-index.js'
import { change, look, type StoreContext } from './device-scripts.js'
import { headsOf } from './heads.js'
import { META_KEY, deviceRecordKey } from './keys.js'
import { decodeEntry } from './message-codec.js'
import { epochsOf, pageEntries, rangesOf, reasonOf } from './pages.js'
import { explainUnanswered } from './redis-errors.js'
import { bytesOf, listOf, numberOf, textOf } from './reply.js'

export class RedisMailbox implements Mailbox {
  readonly #context: StoreContext
  readonly #index: DeviceIndex
  readonly #nodes: ClaimNodes
  readonly #gate = new CallGate()

  constructor(context: StoreContext, nodes: ClaimNodes) {
    this.#context = context
    this.#nodes = nodes
    this.#index = new DeviceIndex(context)
  }

  get generation(): string {
    return this.#context.connections.generation
  }

  append(items: readonly NewMessage[]): Promise<readonly AppendResult[]> {
    return this.#gate.run(() => appendAll(this.#context, this.#index, items))
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#gate.run(async () => {
      const { device, claimId, position, maxMessages, maxBytes } = request
      const reply = listOf(
        await look(this.#context, 'read', device, [claimId, position.epoch, position.seq, maxMessages, maxBytes]),
      )
      const kind = textOf(reply[0])
      if (kind === 'not_owner') return this.#notOwner(reply)
      if (kind === 'diverged') return { kind }
      const [end = 0, , head = 0, sent = 0] = reply.slice(1, 5).map(numberOf)
      const epochs = epochsOf(reply[5])
      return {
        kind: 'page',
        entries: pageEntries(position.seq, head, sent, epochs, rangesOf(reply[6]), listOf(reply[7])),
        next: { epoch: end === position.seq ? position.epoch : epochAt(epochs, end), seq: end },
        head,
        lastEpoch: epochs.at(-1)?.epoch ?? '',
      }
    })
  }

  #notOwner(reply: readonly unknown[]) {
    return { kind: 'not_owner', claim: claimOf(reply[1], reply[2]), generation: this.generation } as const
  }

  ack(items: readonly AckItem[]): Promise<readonly AckResult[]> {
    return this.#gate.run(() => ackAll(this.#context, items))
  }

  resume({ device, claimId, position }: ResumeRequest): Promise<ResumeResult> {
    return this.#gate.run(async () => {
      const args = [claimId, position?.epoch ?? '', position?.seq ?? -1]
      const reply = listOf(await change(this.#context, 'resume', device, args))
      if (textOf(reply[0]) === 'not_owner') return this.#notOwner(reply)
      const found = foundOf(textOf(reply[1]))
      const cursor = numberOf(reply[2])
      const ranges = rangesOf(reply[7]).map((range) => ({ ...range, at: 0, bytes: 0, cumulative: 0, onWire: false }))
      const after = found === 'none' ? 0 : found === 'valid' ? (position?.seq ?? 0) : Infinity
      return {
        kind: 'resumed',
        found,
        position: { epoch: textOf(reply[3]), seq: cursor },
        head: numberOf(reply[4]),
        lastEpoch: textOf(reply[5]),
        gaps: gapsBetween(ranges, numberOf(reply[6]), after, cursor),
      }
    })
  }

  claim(device: string, claim: Claim, options: { readonly force: boolean }): Promise<ClaimGranted | ClaimHeld> {
    return this.#gate.run(async () => {
      await this.#nodes.know(claim.node)
      const generation = await this.#instanceGeneration(device)
      const { node, claimId } = claim
      const shard = this.#context.shards.of(device)
      const args = [generation, randomId(), node, claimId, options.force ? 1 : 0, shard]
      const reply = listOf(await change(this.#context, 'claim', device, args))
      if (numberOf(reply[0]) === 0) return { ok: false, claim: claimOf(reply[1], reply[2]) ?? claim }
      if (numberOf(reply[7]) === 0) await this.#index.add(device)
      const subscription = textOf(reply[6])
      return {
        ok: true,
        position: { epoch: textOf(reply[1]), seq: numberOf(reply[2]) },
        head: numberOf(reply[3]),
        lastEpoch: textOf(reply[4]),
        pending: numberOf(reply[5]),
        generation: this.generation,
        subscription: subscription === '' ? null : subscription,
      }
    })
  }

  /** Which generation a device that is made now begins in. */
  async #instanceGeneration(device: string): Promise<string> {
    const { connections } = this.#context
    const key = deviceRecordKey(device)
    try {
      return (connections.knownInstance(key) ?? (await connections.instance(key))).generation
    } catch (error) {
      throw explainUnanswered(error)
    }
  }

  release(device: string, claimId: string): Promise<boolean> {
    return this.#gate.run(async () => {
      const args = [claimId, this.#context.shards.of(device)]
      return (await change(this.#context, 'release', device, args)) === 1
    })
  }

  keepSubscription(device: string, claimId: string, filter: string | null): Promise<boolean> {
    return this.#gate.run(
      async () => (await change(this.#context, 'keep-subscription', device, [claimId, filter ?? ''])) === 1,
    )
  }

  heads(
    items: ReadonlyArray<{ readonly device: string; readonly acked: Position | null }>,
  ): Promise<ReadonlyArray<HeadResult | null>> {
    return this.#gate.run(() => headsOf(this.#context, items))
  }

  info(device: string): Promise<DeviceInfo | null> {
    return this.#gate.run(() => this.#info(device))
  }

  async #info(device: string): Promise<DeviceInfo | null> {
    const reply = await look(this.#context, 'look', device, [])
    if (reply === null) return null
    const fields = listOf(reply)
    const [
      head = 0,
      cursor = 0,
      pending = 0,
      pendingBytes = 0,
      createdAt = 0,
      connectedAt = 0,
      lastSeenAt = 0,
      oldest = 0,
    ] = fields.slice(3).map(numberOf)
    return {
      device,
      claim: claimOf(fields[0], fields[1]),
      connectedAt: connectedAt === 0 ? null : connectedAt,
      lastSeenAt: lastSeenAt === 0 ? null : lastSeenAt,
      createdAt,
      epoch: textOf(fields[2]),
      head,
      cursor,
      pending,
      pendingBytes,
      oldestPendingAt: oldest === 0 ? null : oldest,
    }
  }

  list(query: {
    readonly after: string | null
    readonly limit: number
    readonly online?: boolean
    readonly isGone?: (node: string) => boolean
  }): Promise<{ readonly devices: readonly DeviceInfo[]; readonly next: string | null }> {
    return this.#gate.run(async () => {
      const ids = await this.#index.page(query.after, query.limit + 1)
      const page = ids.slice(0, query.limit)
      const infos = await Promise.all(
        page.map(async (device) => {
          const info = await this.#info(device)
          // Its record went by itself.
          if (info === null) await this.#index.remove(device)
          return info
        }),
      )
      const devices = infos.filter((info) => info !== null)
      const { online, isGone = nobody } = query
      return {
        devices: devices.filter(
          ({ claim }) => online === undefined || online === (claim !== null && !isGone(claim.node)),
        ),
        next: ids.length > page.length ? (page.at(-1) ?? null) : null,
      }
    })
  }

  peek(
    device: string,
    query: { readonly after: number; readonly limit: number; readonly maxBytes: number },
  ): Promise<PeekResult | null> {
    return this.#gate.run(async () => {
      const reply = await look(this.#context, 'peek', device, [query.after, query.limit, query.maxBytes])
      if (reply === null) return null
      const [more, epochList, entries] = listOf(reply)
      const epochs = epochsOf(epochList)
      const flat = listOf(entries)
      const messages = Array.from({ length: flat.length / 2 }, (_, i) => {
        const seq = numberOf(flat[i * 2])
        return { epoch: epochAt(epochs, seq), message: decodeEntry(seq, bytesOf(flat[i * 2 + 1])) }
      })
      return { messages, more: numberOf(more) === 1 }
    })
  }

  state(device: string, seq: number, epoch: string | null): Promise<MessageState> {
    return this.#gate.run(async () => {
      const reply = listOf(await look(this.#context, 'state', device, [seq, epoch ?? '']))
      const word = textOf(reply[0])
      if (word === 'no_device' || word === 'gone') return { kind: word }
      const at = numberOf(reply[2])
      const expiresAt = numberOf(reply[3])
      return {
        kind: 'known',
        epoch: textOf(reply[1]),
        seq,
        state: isPlainState(word) ? word : reasonOf(Number(word)),
        at: at < 0 ? null : at,
        expiresAt: expiresAt === 0 ? null : expiresAt,
      }
    })
  }

  cancel(device: string, seq: number, epoch: string | null): Promise<CancelResult> {
    return this.#gate.run(async () => {
      const word = textOf(await change(this.#context, 'cancel', device, [seq, epoch ?? '']))
      switch (word) {
        case 'cancelled':
          return { kind: 'cancelled', maybeDelivered: false }
        case 'maybe_delivered':
          return { kind: 'cancelled', maybeDelivered: true }
        case 'already_handled':
        case 'no_device':
          return { kind: word }
        default:
          return { kind: 'gone' }
      }
    })
  }

  purge(device: string): Promise<{ readonly existed: boolean; readonly claim: Claim | null }> {
    return this.#gate.run(async () => {
      const reply = await change(this.#context, 'purge', device, [this.#context.shards.of(device)])
      await this.#index.remove(device)
      if (reply === null) return { existed: false, claim: null }
      const [node, claimId, pending] = listOf(reply)
      this.#context.connections.outcomes.undelivered.deleted += numberOf(pending)
      return { existed: true, claim: claimOf(node, claimId) }
    })
  }

  ensure(device: string): Promise<void> {
    return this.#gate.run(async () => {
      const generation = await this.#instanceGeneration(device)
      if (numberOf(await change(this.#context, 'ensure', device, [generation, randomId()])) === 0) {
        await this.#index.add(device)
      }
    })
  }

  ping(): Promise<void> {
    return this.#gate.run(async () => {
      try {
        await this.#context.connections.command('hset', [META_KEY, 'ping', Date.now()])
      } catch (error) {
        throw explainUnanswered(error)
      }
      if (this.generation === '') throw new StoreUnavailable('Redis cannot be reached')
    })
  }

  close(): Promise<void> {
    return this.#gate.close()
  }
}

function foundOf(word: string): Extract<ResumeResult, { kind: 'resumed' }>['found'] {
  if (word === 'none' || word === 'valid' || word === 'past') return word
  return 'unknown'
}

function isPlainState(word: string): word is 'handled' | 'received' | 'sent' | 'queued' {
  return word === 'handled' || word === 'received' || word === 'sent' || word === 'queued'
}

const nobody = (): boolean => false
