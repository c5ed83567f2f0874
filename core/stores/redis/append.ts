// Appending: one script call for all messages of a device in a call, all devices in one write.

import { bodyHash, dedupIdHash } from '../../model/body-hash.js'
import { messageSize, type NewMessage } from '../../model/message.js'
import type { AppendResult, Claim } from '../../ports/mailbox.js'
import { randomId } from '../../random-id.js'
import type { Argument } from './connections.js'
import type { DeviceIndex } from './device-index.js'
import { rawChange, type StoreContext } from './device-scripts.js'
import { deviceRecordKey } from './keys.js'
import { encodeBody } from './message-codec.js'
import { codeOf, explainFailure } from './redis-errors.js'
import { listOf, numberOf, textOf } from './reply.js'

/** How often an append may find that another instance answers, in one call. */
const STALE_TRIES = 4
const UNAVAILABLE: AppendResult = { ok: false, code: 'store_unavailable' }

/** Fields of the reply before the first message, and for each. */
const HEAD = 5
const FIELDS = 4

export async function appendAll(
  context: StoreContext,
  index: DeviceIndex,
  items: readonly NewMessage[],
): Promise<readonly AppendResult[]> {
  const places = new Map<string, number[]>()
  for (const [i, { device }] of items.entries()) {
    const known = places.get(device)
    if (known === undefined) places.set(device, [i])
    else known.push(i)
  }
  const results = Array.from<AppendResult>({ length: items.length })
  await Promise.all(
    Array.from(places, async ([device, at]) => {
      const own = at.flatMap((i) => items[i] ?? [])
      const answers = await appendToDevice(context, index, device, own)
      for (const [n, i] of at.entries()) {
        const answer = answers[n]
        if (answer !== undefined) results[i] = answer
      }
    }),
  )
  return results
}

async function appendToDevice(
  context: StoreContext,
  index: DeviceIndex,
  device: string,
  items: readonly NewMessage[],
): Promise<readonly AppendResult[]> {
  // Without a look at the messages: an outage must cost little.
  if (!context.connections.canSend(deviceRecordKey(device))) return items.map(() => UNAVAILABLE)
  try {
    const reply = listOf(await callAppend(context, device, items.flatMap(itemArguments)))
    if (numberOf(reply[4]) === 0) await indexed(index, device)
    return items.map((item, i) => resultOf(item, reply, HEAD + i * FIELDS))
  } catch (error) {
    const { code } = explainFailure(error)
    const failed: AppendResult = {
      ok: false,
      code: code === 'store_unavailable' ? 'store_unavailable' : 'outcome_unknown',
    }
    return items.map(() => failed)
  }
}

/** The messages are stored whatever becomes of this: the device's next use adds it to the index otherwise. */
async function indexed(index: DeviceIndex, device: string): Promise<void> {
  await index.add(device).catch(() => undefined)
}

async function callAppend(context: StoreContext, device: string, messages: readonly Argument[]): Promise<unknown> {
  const { connections } = context
  const key = deviceRecordKey(device)
  for (let tries = 1; ; tries++) {
    const { replicationId, generation } = connections.knownInstance(key) ?? (await connections.instance(key))
    try {
      return await rawChange(context, 'append', device, [replicationId, generation, randomId(), ...messages])
    } catch (error) {
      if (codeOf(error) !== 'STALE' || tries === STALE_TRIES) throw error
      await connections.learnAgain(key)
    }
  }
}

const NONE = Buffer.alloc(0)

function itemArguments(item: NewMessage): readonly Argument[] {
  return [
    item.dedupId === null ? NONE : dedupIdHash(item.dedupId),
    item.dedupId === null ? NONE : bodyHash(item),
    item.ttl === null ? '' : expiresAfter(item.ttl),
    messageSize(item),
    encodeBody(item),
  ]
}

const expiresAfter = (ttl: number): number => Math.max(1, Math.round(ttl * 1000))

function resultOf(item: NewMessage, reply: readonly unknown[], at: number): AppendResult {
  const seq = numberOf(reply[at + 1])
  const appended = numberOf(reply[at + 2])
  switch (numberOf(reply[at])) {
    case 0:
      return {
        ok: true,
        seq,
        epoch: textOf(reply[1]),
        at: appended,
        expiresAt: item.ttl === null ? null : appended + expiresAfter(item.ttl),
        duplicate: false,
        owner: claimOf(reply[2], reply[3]),
      }
    case 1:
      return {
        ok: true,
        seq,
        epoch: textOf(reply[at + 3]),
        at: appended,
        // The body is the same, so the ttl is.
        expiresAt: item.ttl === null ? null : appended + expiresAfter(item.ttl),
        duplicate: true,
        owner: null,
      }
    case 2:
      return { ok: false, code: 'inbox_full' }
    default:
      return { ok: false, code: 'dedup_conflict', seq }
  }
}

/** Null: nobody owns the device. */
export function claimOf(node: unknown, claimId: unknown): Claim | null {
  const id = textOf(claimId)
  return id === '' ? null : { node: textOf(node), claimId: id }
}
