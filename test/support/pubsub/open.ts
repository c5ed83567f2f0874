import type { PubSubLimits } from '../../../broker/pubsub/limits.js'
import { UNLIMITED } from '../../../core/limits/token-bucket.js'
import type { TestNodeOptions } from '../broker/node.js'

/** A node without tokens: every ordinary topic is granted. What the rates of one client are is tested elsewhere. */
export function openNode(pubsubLimits: Partial<PubSubLimits> = {}): TestNodeOptions {
  const limits = { publishesPerDevice: UNLIMITED, packetsPerDevice: UNLIMITED, bytesPerDevice: UNLIMITED }
  return { broker: { tokens: null, limits, pubsubLimits } }
}

export const OPEN = openNode()
