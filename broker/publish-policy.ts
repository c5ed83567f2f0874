// What a PUBLISH, or a will, is to the broker: which road it takes, or why it takes none. Pure.
//
// A device writes its own control frames, its own uplink, and ordinary topics that its token grants. A denied PUBLISH closes
// the connection [MQTT-3.3.5-2]; a denied will is answered CONNACK 5.

import { classifyTopic } from '../protocol/topics.js'

/** What decides about a PUBLISH. */
export interface PublishRequest {
  readonly topic: string
  readonly qos: number
}

/** Who publishes, and what it may. */
export interface Publisher {
  readonly device: string
  /** An id outside the device pattern (`--auth none`) has neither mailbox nor uplink. */
  readonly hasMailbox: boolean
  /** Whether its grants cover an ordinary topic. */
  readonly mayPublish: (topic: string) => boolean
}

export type PublishDenial =
  /** Another device's uplink or control topic. */
  | 'foreign'
  /** Begins with a mailbox level and is nothing that is published to. */
  | 'reserved'
  /** `$SYS` or `$share` at the first level. */
  | 'system'
  | 'no_grant'
  | 'malformed'
  /** QoS 2 where only 0 and 1 are taken. */
  | 'qos_2'
  /** The payload is over `--payload-max`. */
  | 'too_large'

export type PublishRoad =
  | { readonly kind: 'control'; readonly control: 'hello' | 'ack' | 'uplink' }
  | { readonly kind: 'uplink'; readonly channel: string }
  | { readonly kind: 'ordinary' }
  | { readonly kind: 'denied'; readonly reason: PublishDenial }

const ORDINARY: PublishRoad = { kind: 'ordinary' }
const denied = (reason: PublishDenial): PublishRoad => ({ kind: 'denied', reason })

export function judgePublish({ topic, qos }: PublishRequest, publisher: Publisher): PublishRoad {
  const kind = classifyTopic(topic)
  if (kind.kind === 'ordinary') return publisher.mayPublish(topic) ? ORDINARY : denied('no_grant')
  if (kind.kind !== 'control' && kind.kind !== 'uplink') return denied(kind.kind)
  if (kind.device !== publisher.device || !publisher.hasMailbox) return denied('foreign')
  if (qos === 2) return denied('qos_2')
  return kind.kind === 'uplink' ? { kind: 'uplink', channel: kind.channel } : { kind: 'control', control: kind.control }
}

/** A will goes the same roads, but there is no control frame of a device that is gone. */
export function judgeWill(will: PublishRequest, publisher: Publisher): PublishRoad {
  const road = judgePublish(will, publisher)
  return road.kind === 'control' ? denied('reserved') : road
}
