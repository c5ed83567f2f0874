// The retained messages, in memory, as a tree of topic levels so that a wildcard looks only where it can match.

import { ordinarySize, type OrdinaryMessage } from '../../core/model/ordinary-message.js'
import type { PubSubCounters } from './counters.js'
import type { PubSubLimits } from './limits.js'

class Node {
  children: Map<string, Node> | null = null
  message: OrdinaryMessage | null = null
}

export class Retained {
  readonly #root = new Node()
  readonly #counters: Pick<PubSubCounters, 'retained' | 'retainedBytes'>

  /** `counters` say how many there are, and their sizes together. */
  constructor(counters: Pick<PubSubCounters, 'retained' | 'retainedBytes'>) {
    this.#counters = counters
  }

  /** Whether there is room for the message; one that takes another's place, or none, may need less. */
  admits(message: OrdinaryMessage, limits: Pick<PubSubLimits, 'retainedMax' | 'retainedMaxBytes'>): boolean {
    const { count, bytes } = this.growth(message)
    if (count > 0 && this.#counters.retained + count > limits.retainedMax) return false
    return bytes <= 0 || this.#counters.retainedBytes + bytes <= limits.retainedMaxBytes
  }

  /** How many messages and bytes there would be more with `message`; an empty payload takes one away. */
  growth(message: OrdinaryMessage): { readonly count: number; readonly bytes: number } {
    const before = this.#find(message.topic)
    const empty = message.payload.length === 0
    return {
      count: (empty ? 0 : 1) - (before === null ? 0 : 1),
      bytes: (empty ? 0 : ordinarySize(message)) - (before === null ? 0 : ordinarySize(before)),
    }
  }

  /** Replaces the topic's message [MQTT-3.3.1-5]; an empty payload takes it away [MQTT-3.3.1-10], [MQTT-3.3.1-11]. */
  set(message: OrdinaryMessage): void {
    const { count, bytes } = this.growth(message)
    this.#counters.retained += count
    this.#counters.retainedBytes += bytes
    if (message.payload.length === 0) {
      if (count < 0) this.#remove(message.topic)
      return
    }
    let node = this.#root
    for (const level of message.topic.split('/')) {
      node.children ??= new Map()
      let child = node.children.get(level)
      if (child === undefined) {
        child = new Node()
        node.children.set(level, child)
      }
      node = child
    }
    node.message = message
  }

  clear(): void {
    this.#root.children = null
    this.#counters.retained = 0
    this.#counters.retainedBytes = 0
  }

  /** The messages whose topics `filter` matches. Not those that begin with `$` for a leading wildcard [MQTT-4.7.2-1]. */
  match(filter: string): OrdinaryMessage[] {
    const found: OrdinaryMessage[] = []
    const take = (node: Node): void => {
      if (node.message !== null) found.push(node.message)
    }
    let nodes = [this.#root]
    for (const [depth, level] of filter.split('/').entries()) {
      const below = (node: Node): Node[] => childrenOf(node, depth === 0)
      if (level === '#') {
        for (const node of nodes) take(node) // the parent level [MQTT-4.7.1-2]
        for (let next = nodes.flatMap(below); next.length > 0; next = next.flatMap((node) => childrenOf(node, false))) {
          for (const node of next) take(node)
        }
        return found
      }
      nodes = level === '+' ? nodes.flatMap(below) : nodes.flatMap((node) => node.children?.get(level) ?? [])
    }
    for (const node of nodes) take(node)
    return found
  }

  #find(topic: string): OrdinaryMessage | null {
    let node: Node | undefined = this.#root
    for (const level of topic.split('/')) {
      node = node.children?.get(level)
      if (node === undefined) return null
    }
    return node.message
  }

  #remove(topic: string): void {
    const path: Array<readonly [Node, string]> = []
    let node = this.#root
    for (const level of topic.split('/')) {
      const child = node.children?.get(level)
      if (child === undefined) return
      path.push([node, level])
      node = child
    }
    node.message = null
    for (
      let step = path.pop();
      step !== undefined && node.children === null && node.message === null;
      step = path.pop()
    ) {
      const [parent, level] = step
      parent.children?.delete(level)
      if (parent.children?.size === 0) parent.children = null
      node = parent
    }
  }
}

function childrenOf(node: Node, first: boolean): Node[] {
  if (node.children === null) return []
  if (!first) return [...node.children.values()]
  return [...node.children].filter(([level]) => !level.startsWith('$')).map(([, child]) => child)
}
