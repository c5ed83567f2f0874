// What a SUBSCRIBE and an UNSUBSCRIBE do to the mailbox subscription of a connection, and which ordinary filters they name.
// Pure.
//
// One mailbox mode per connection: the first accepted mailbox filter sets it; until UNSUBSCRIBE another one is refused. Between
// plain and stream mode a connection never changes: a PUBACK means another thing in each, and may still be on its way.
// Ordinary filters need a grant. A malformed filter is a protocol violation: the connection is closed ([MQTT-4.7.1-2],
// [MQTT-4.7.1-3], [MQTT-1.5.3-2], [MQTT-4.8.0-1]).

import { classifyFilter, type MailboxMode } from '../protocol/topics.js'
import type { SubackRefusal } from './counters.js'
import type { BrokerLimits } from './limits.js'
import { topicExcess } from './topic-limits.js'

export type FilterLimits = Pick<BrokerLimits, 'maxFilters' | 'maxSubscriptions' | 'maxTopicBytes' | 'maxTopicLevels'>

/** The mailbox subscription of a connection. */
export interface MailboxSubscription {
  readonly filter: string
  readonly mode: MailboxMode
}

/** What a PUBACK means on a connection. */
export type MailboxFamily = 'plain' | 'stream'

export const familyOf = (mode: MailboxMode): MailboxFamily => (mode === 'stream' ? 'stream' : 'plain')

export interface RequestedFilter {
  readonly topic: string
  readonly qos: 0 | 1 | 2
}

export const SUBACK_FAILURE = 0x80

/** The answer to one filter: the granted QoS, or why it is refused. */
export type FilterAnswer = { readonly granted: 0 | 1 | 2 } | { readonly granted: 0x80; readonly reason: SubackRefusal }

export type SubscribeDecision =
  | {
      readonly kind: 'answer'
      /** One for each requested filter, in order, also when a filter is there twice [MQTT-3.9.3-1]. */
      readonly answers: readonly FilterAnswer[]
      /** The mailbox subscription from now on. */
      readonly active: MailboxSubscription | null
      /** The ordinary filters that are granted, in order; one that is there twice counts twice [MQTT-3.8.4-4]. */
      readonly ordinary: readonly RequestedFilter[]
    }
  | { readonly kind: 'violation'; readonly error: 'malformed_filter' | 'empty_list' }

/** Who subscribes. */
export interface Subscriber {
  readonly device: string
  /** An id outside the device pattern (`--auth none`) has no mailbox. */
  readonly hasMailbox: boolean
  /** Set by the first mailbox subscription of the connection. */
  readonly family: MailboxFamily | null
  /** Why an ordinary filter is refused; null: it is granted. */
  readonly refuses: (filter: string) => SubackRefusal | null
  /** The ordinary filters that it has. */
  readonly subscribed: { readonly size: number; has(filter: string): boolean }
}

const GRANTED: FilterAnswer = { granted: 1 }
const refused = (reason: SubackRefusal): FilterAnswer => ({ granted: SUBACK_FAILURE, reason })

/** The mailbox subscription that `filter` stands for; null when it is none of this device that this version serves. */
export function mailboxSubscription(device: string, filter: string): MailboxSubscription | null {
  const kind = classifyFilter(filter)
  if (kind.kind !== 'mailbox' || kind.device !== device) return null
  return { filter, mode: kind.mode }
}

export function decideSubscribe(
  { device, hasMailbox, family, refuses, subscribed }: Subscriber,
  active: MailboxSubscription | null,
  requested: readonly RequestedFilter[],
  limits: FilterLimits,
): SubscribeDecision {
  if (requested.length === 0) return { kind: 'violation', error: 'empty_list' } // [MQTT-3.8.3-3]
  let current = active
  const answers: FilterAnswer[] = []
  const ordinary: RequestedFilter[] = []
  const added = new Set<string>()
  for (const { topic, qos } of requested) {
    const excess = answers.length >= limits.maxFilters ? 'too_many' : topicExcess(topic, limits)
    if (excess !== null) {
      answers.push(refused(excess))
      continue
    }
    const kind = classifyFilter(topic)
    switch (kind.kind) {
      case 'malformed':
        return { kind: 'violation', error: 'malformed_filter' }
      case 'reserved':
      case 'system':
        answers.push(refused(kind.kind))
        break
      case 'ordinary': {
        const isNew = !subscribed.has(topic) && !added.has(topic)
        const full = isNew && subscribed.size + added.size >= limits.maxSubscriptions
        const reason = refuses(topic) ?? (full ? 'too_many' : null)
        if (reason === null && isNew) added.add(topic)
        answers.push(reason === null ? { granted: qos } : refused(reason))
        if (reason === null) ordinary.push({ topic, qos })
        break
      }
      case 'mailbox':
        if (kind.device !== device || !hasMailbox) answers.push(refused('foreign'))
        else if (qos === 0) answers.push(refused('qos_0'))
        else if (current !== null && current.filter !== topic) answers.push(refused('other_mode'))
        else if (family !== null && family !== familyOf(kind.mode)) answers.push(refused('other_mode'))
        else {
          current ??= { filter: topic, mode: kind.mode }
          answers.push(GRANTED)
        }
        break
    }
  }
  return { kind: 'answer', answers, active: current, ordinary }
}

export type UnsubscribeDecision =
  | { readonly kind: 'answer'; readonly active: MailboxSubscription | null }
  | { readonly kind: 'violation'; readonly error: 'malformed_filter' | 'empty_list' | 'too_many_filters' }

/** Filters that nothing subscribed to are acknowledged all the same [MQTT-3.10.4-5]. */
export function decideUnsubscribe(
  active: MailboxSubscription | null,
  filters: readonly string[],
  { maxFilters }: Pick<FilterLimits, 'maxFilters'>,
): UnsubscribeDecision {
  if (filters.length === 0) return { kind: 'violation', error: 'empty_list' } // [MQTT-3.10.3-2]
  if (filters.length > maxFilters) return { kind: 'violation', error: 'too_many_filters' } // UNSUBACK knows no refusal
  if (filters.some((filter) => classifyFilter(filter).kind === 'malformed')) {
    return { kind: 'violation', error: 'malformed_filter' }
  }
  return { kind: 'answer', active: active !== null && filters.includes(active.filter) ? null : active }
}
