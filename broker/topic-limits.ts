import type { BrokerLimits } from './limits.js'

export type TopicLimits = Pick<BrokerLimits, 'maxTopicBytes' | 'maxTopicLevels'>

export type TopicExcess = 'too_long' | 'too_deep'

/** What is too much about a topic or filter; null: nothing. */
export function topicExcess(topic: string, { maxTopicBytes, maxTopicLevels }: TopicLimits): TopicExcess | null {
  if (topic.length > maxTopicBytes || Buffer.byteLength(topic) > maxTopicBytes) return 'too_long'
  let levels = 1
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) {
    if (++levels > maxTopicLevels) return 'too_deep'
  }
  return null
}
