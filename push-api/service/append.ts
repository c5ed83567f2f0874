import { messageSize, type NewMessage } from '../../core/model/message.js'
import { PostriderError } from '../../core/errors.js'
import type { Notice } from '../../core/ports/bus.js'
import type { AppendAccepted, AppendRefused, AppendResult, Claim } from '../../core/ports/mailbox.js'
import type { Refusal } from '../problem.js'
import type { ServiceContext } from './context.js'
import { traceAppends } from './trace-appends.js'

const UNKNOWN: AppendRefused = { ok: false, code: 'outcome_unknown' }
const UNAVAILABLE: AppendRefused = { ok: false, code: 'store_unavailable' }

/**
 * Appends through the bounded queue, and tells the owner nodes. One result for every message, in order; a store that fails
 * as a whole fails every message. Throws `overloaded` before anything is stored.
 *
 * A store that does not answer in time leaves the outcome unknown. The messages keep their place in the queue until it
 * does: they are still held. `trace`: the trace context of the request.
 */
export function append(
  context: ServiceContext,
  messages: readonly NewMessage[],
  trace: string | null = null,
): Promise<readonly AppendResult[]> {
  if (messages.length === 0) return Promise.resolve([])
  let bytes = 0
  for (const message of messages) bytes += messageSize(message)
  const ticket = context.queue.enter(messages.length, bytes)
  return new Promise((resolve) => {
    const waiting = context.deadlines.enter(() => resolve(messages.map(() => UNKNOWN)))
    const answer = (results: readonly AppendResult[]): void => {
      context.queue.leave(ticket)
      context.deadlines.leave(waiting)
      resolve(results)
    }
    store(context, messages, trace).then(answer, (error: unknown) => answer(refuseAll(context, messages, error)))
  })
}

async function store(
  context: ServiceContext,
  messages: readonly NewMessage[],
  trace: string | null,
): Promise<readonly AppendResult[]> {
  const { tracer, clock } = context
  const start = tracer === null ? 0 : clock.now()
  const results = await context.mailbox.append(messages)
  announce(context, messages, results)
  if (tracer !== null) traceAppends(tracer, messages, results, trace, start)
  return results
}

/** An error of the program counts as an unknown outcome: the store may have been changed before it. */
function refuseAll(context: ServiceContext, messages: readonly NewMessage[], error: unknown): readonly AppendResult[] {
  const refused = error instanceof PostriderError && error.code === 'store_unavailable' ? UNAVAILABLE : UNKNOWN
  if (!(error instanceof PostriderError)) {
    context.counters.internalErrors++
    context.log.error({ err: error }, 'an append failed in an unforeseen way')
  }
  return messages.map(() => refused)
}

/** One frame for each node that owns a device of the request; every device's messages in the order of their seqs. */
function announce(context: ServiceContext, messages: readonly NewMessage[], results: readonly AppendResult[]): void {
  const { counters, bus } = context
  let node: string | null = null
  const notices: Notice[] = []
  let others: Map<string, Notice[]> | null = null
  for (let i = 0; i < results.length; i++) {
    const result = results[i]
    const message = messages[i]
    if (result === undefined || message === undefined || !result.ok) continue
    if (result.duplicate) {
      counters.duplicates++
      continue
    }
    counters.accepted++
    const { owner } = result
    if (owner === null) continue
    const notice = noticeOf(message, result, owner)
    if (node === null) node = owner.node
    if (owner.node === node) {
      notices.push(notice)
    } else {
      others ??= new Map()
      const list = others.get(owner.node)
      if (list === undefined) others.set(owner.node, [notice])
      else list.push(notice)
    }
  }
  if (node === null) return
  counters.notices += notices.length
  bus.notify(node, notices)
  if (others === null) return
  for (const [other, list] of others) {
    counters.notices += list.length
    bus.notify(other, list)
  }
}

function noticeOf(message: NewMessage, result: AppendAccepted, owner: Claim): Notice {
  return {
    device: message.device,
    epoch: result.epoch,
    claimId: owner.claimId,
    message: {
      seq: result.seq,
      at: result.at,
      expiresAt: result.expiresAt,
      priority: message.priority,
      dedupId: message.dedupId,
      contentType: message.contentType,
      attributes: message.attributes,
      payload: message.payload,
    },
  }
}

/** The store failed, as opposed to the message: what a retry may get over. */
export const isStoreFailure = (result: AppendResult | undefined): boolean =>
  result === undefined || (!result.ok && (result.code === 'store_unavailable' || result.code === 'outcome_unknown'))

const WORDS: Readonly<Record<AppendRefused['code'], string>> = {
  inbox_full: "the device's inbox is full; the message was not stored",
  dedup_conflict: 'the dedup id stands for another message; use one id for one message',
  store_unavailable: 'the store cannot be written now; the message was not stored',
  outcome_unknown: 'it is not known whether the message was stored; retry with the same dedupId',
}

/** In words, what the store says of a message; undefined (an answer that is not there): the outcome is unknown. */
export function refusalOf(result: AppendRefused | undefined): Refusal {
  const { code, seq } = result ?? UNKNOWN
  return { code, message: seq === undefined ? WORDS[code] : `${WORDS[code]} (seq ${seq})` }
}
