// The topics and filters of MQTT, as far as they have a meaning of ours. Pure: which topic is what, and whether a filter is
// well-formed; who may use it is the broker's decision.

import { utf8Length } from './utf8-length.js'

/** First levels that belong to mailboxes; a filter that begins with one literally is a mailbox filter. */
const RESERVED = new Set(['inbox', 'stream', 'uplink'])

/**
 * First levels of the system: what a broker says of itself, and shared subscriptions. Others that begin with `$` are ordinary
 * ones that no leading wildcard matches [MQTT-4.7.2-1].
 */
const SYSTEM = new Set(['$SYS', '$share'])

/** True for the first levels that belong to mailboxes and uplink. */
export const isReservedLevel = (level: string): boolean => RESERVED.has(level)

/** `inbox/{id}`: plain mode. */
export const inboxTopic = (device: string): string => `inbox/${device}`
/** `inbox/{id}/{seq}`: plain mode with the seq. */
export const inboxSeqTopic = (device: string, seq: number): string => `inbox/${device}/${seq}`
/** `stream/{id}`: frames of the stream mode. */
export const streamTopic = (device: string): string => `stream/${device}`

/** The mailbox modes a subscription can choose. */
export type MailboxMode = 'plain' | 'plain-seq' | 'stream'

export type FilterKind =
  /** One of the accepted mailbox forms; `device` is the id in it. */
  | { readonly kind: 'mailbox'; readonly mode: MailboxMode; readonly device: string }
  /** Begins with a mailbox level but is none of the accepted forms: refuse. */
  | { readonly kind: 'reserved' }
  /** `$SYS` or `$share` at the first level: refuse. */
  | { readonly kind: 'system' }
  /** Ordinary pub/sub, if a grant covers it. */
  | { readonly kind: 'ordinary' }
  /** Not a filter by [MQTT-4.7.1], or not valid UTF-8 text for one ([MQTT-1.5.3]). */
  | { readonly kind: 'malformed' }

/** Longest topic or filter, in UTF-8 bytes, [MQTT-4.7.3-3]. */
export const TOPIC_MAX_BYTES = 65_535

function hasForbiddenCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0 || code === 0xfffd) return true // NUL [MQTT-4.7.3-2]; U+FFFD is what broken UTF-8 decodes to
  }
  return false
}

/** True when `filter` is well-formed by [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.1-3] and [MQTT-4.7.3-1]. */
export function isValidFilter(filter: string): boolean {
  if (filter.length === 0 || hasForbiddenCharacter(filter)) return false
  const levels = filter.split('/')
  return levels.every((level, i) => {
    if (level === '#') return i === levels.length - 1
    return level === '+' || !(level.includes('+') || level.includes('#'))
  })
}

/** True when `topic` may be published to: not empty, no wildcard [MQTT-3.3.2-2], no NUL. */
export function isValidTopic(topic: string): boolean {
  return topic.length > 0 && !topic.includes('+') && !topic.includes('#') && !hasForbiddenCharacter(topic)
}

/** Longest channel of an uplink, in UTF-8 bytes. */
export const UPLINK_CHANNEL_MAX_BYTES = 1_024

/** A channel is what follows `uplink/{id}/` in a topic: levels without wildcards, the first one not empty. */
export function isUplinkChannel(channel: string): boolean {
  return isValidTopic(channel) && !channel.startsWith('/') && utf8Length(channel) <= UPLINK_CHANNEL_MAX_BYTES
}

/** What a SUBSCRIBE filter is. */
export function classifyFilter(filter: string): FilterKind {
  if (!isValidFilter(filter)) return { kind: 'malformed' }
  const levels = filter.split('/')
  const [first = '', device = '', last] = levels
  if (SYSTEM.has(first)) return { kind: 'system' }
  if (!RESERVED.has(first)) return { kind: 'ordinary' }
  if (device === '' || device === '+' || device === '#') return { kind: 'reserved' }
  if (first === 'inbox' && levels.length === 2) return { kind: 'mailbox', mode: 'plain', device }
  if (first === 'inbox' && levels.length === 3 && last === '+') return { kind: 'mailbox', mode: 'plain-seq', device }
  if (first === 'stream' && levels.length === 2) return { kind: 'mailbox', mode: 'stream', device }
  return { kind: 'reserved' }
}

export type TopicKind =
  /** `uplink/{device}/{channel…}` */
  | { readonly kind: 'uplink'; readonly device: string; readonly channel: string }
  /** `stream/{device}/hello`, `/ack`, `/uplink` */
  | { readonly kind: 'control'; readonly device: string; readonly control: 'hello' | 'ack' | 'uplink' }
  | { readonly kind: 'reserved' }
  | { readonly kind: 'system' }
  | { readonly kind: 'ordinary' }
  | { readonly kind: 'malformed' }

/** What the topic of a PUBLISH (or of a will) is. */
export function classifyTopic(topic: string): TopicKind {
  if (!isValidTopic(topic)) return { kind: 'malformed' }
  const levels = topic.split('/')
  const [first = '', device = '', third] = levels
  if (SYSTEM.has(first)) return { kind: 'system' }
  if (!RESERVED.has(first)) return { kind: 'ordinary' }
  if (device === '') return { kind: 'reserved' }
  if (first === 'uplink' && levels.length >= 3) {
    const channel = levels.slice(2).join('/')
    return isUplinkChannel(channel) ? { kind: 'uplink', device, channel } : { kind: 'reserved' }
  }
  if (first === 'stream' && levels.length === 3 && (third === 'hello' || third === 'ack' || third === 'uplink')) {
    return { kind: 'control', device, control: third }
  }
  return { kind: 'reserved' }
}
