// The bodies of messages: in the device's document, or in documents of their own that it refers to.

import type { StoredMessage } from '../../model/message.js'
import type { Collections } from './collections.js'
import { bodiesOf } from './device-document.js'
import { type Chunk, type DeviceState, lastOf } from './device-state.js'
import { fieldsOf, listOf } from './fields.js'
import { readMessage } from './message-document.js'
import { inOneAnswer } from './one-answer.js'

export type Fetched =
  | { readonly kind: 'messages'; readonly messages: ReadonlyMap<number, StoredMessage> }
  /** A document that the state refers to is not there: it went since the state was read, or it is lost. */
  | { readonly kind: 'missing'; readonly chunk: Chunk }

/** `document`: the device's own, with the tail, which `state` was made from. */
export async function fetchBodies(
  collections: Collections,
  state: DeviceState,
  document: unknown,
  seqs: readonly number[],
): Promise<Fetched> {
  const messages = new Map<number, StoredMessage>()
  if (seqs.length === 0) return { kind: 'messages', messages }
  const put = (seq: number, body: unknown): void => {
    const head = state.headOf(seq)
    if (head !== null) messages.set(seq, readMessage(body, seq, head))
  }
  const tail = bodiesOf(document)
  const { head } = state.fields
  const wanted = new Map<string, Chunk>()
  for (const seq of seqs) {
    if (seq >= state.tailFrom) put(seq, tail[tail.length - 1 - (head - seq)])
    else {
      const chunk = state.chunkOf(seq)
      if (chunk !== null) wanted.set(chunk.id, chunk)
    }
  }
  if (wanted.size > 0) {
    const found = await collections.messages
      .find({ _id: { $in: [...wanted.keys()] } }, inOneAnswer(wanted.size))
      .toArray()
    const byId = new Map(found.map((each): [string, unknown] => [each._id, each]))
    const asked = new Set(seqs)
    for (const chunk of wanted.values()) {
      const spilled = byId.get(chunk.id)
      if (spilled === undefined) return { kind: 'missing', chunk }
      const bodies = listOf(fieldsOf(spilled), 'm')
      for (let seq = chunk.from; seq <= lastOf(chunk); seq++) if (asked.has(seq)) put(seq, bodies[seq - chunk.from])
    }
  }
  return { kind: 'messages', messages }
}
