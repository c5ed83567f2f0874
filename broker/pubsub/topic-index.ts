// Which subscriptions match a topic: filters as a tree of levels. Pure, in memory; costs nothing for who has no subscription.

type Qos = 0 | 1 | 2

class Node<Subscriber> {
  /** Exact levels, `+` among them: no topic has a level of that name [MQTT-4.7.1-1]. */
  children: Map<string, Node<Subscriber>> | null = null
  /** Filters that end here. */
  here: Map<Subscriber, Qos> | null = null
  /** Filters that end here with `#`. */
  below: Map<Subscriber, Qos> | null = null

  get empty(): boolean {
    return this.children === null && this.here === null && this.below === null
  }
}

export class TopicIndex<Subscriber> {
  readonly #root = new Node<Subscriber>()

  /** A subscription replaces the same one [MQTT-3.8.4-3]. `filter` is well-formed. */
  add(filter: string, subscriber: Subscriber, qos: Qos): void {
    let node = this.#root
    for (const level of filter.split('/')) {
      if (level === '#') {
        node.below ??= new Map()
        node.below.set(subscriber, qos)
        return
      }
      node.children ??= new Map()
      let child = node.children.get(level)
      if (child === undefined) {
        child = new Node()
        node.children.set(level, child)
      }
      node = child
    }
    node.here ??= new Map()
    node.here.set(subscriber, qos)
  }

  remove(filter: string, subscriber: Subscriber): void {
    const path: Array<readonly [Node<Subscriber>, string]> = []
    let node = this.#root
    let multi = false
    for (const level of filter.split('/')) {
      if (level === '#') {
        multi = true
        break
      }
      const child = node.children?.get(level)
      if (child === undefined) return
      path.push([node, level])
      node = child
    }
    const subscribers = multi ? node.below : node.here
    subscribers?.delete(subscriber)
    if (subscribers?.size === 0) {
      if (multi) node.below = null
      else node.here = null
    }
    // Levels that lead nowhere any more.
    for (let step = path.pop(); step !== undefined && node.empty; step = path.pop()) {
      const [parent, level] = step
      parent.children?.delete(level)
      if (parent.children?.size === 0) parent.children = null
      node = parent
    }
  }

  /**
   * Each subscriber once, with the highest QoS of its matching subscriptions [MQTT-3.3.5-1]. A filter that begins with a
   * wildcard matches no topic that begins with `$` [MQTT-4.7.2-1].
   */
  match(topic: string): Map<Subscriber, Qos> {
    const levels = topic.split('/')
    const found = new Map<Subscriber, Qos>()
    const take = (subscribers: ReadonlyMap<Subscriber, Qos> | null): void => {
      if (subscribers === null) return
      for (const [subscriber, qos] of subscribers) {
        const before = found.get(subscriber)
        if (before === undefined || before < qos) found.set(subscriber, qos)
      }
    }
    const hidden = topic.startsWith('$')
    let nodes = [this.#root]
    for (const [depth, level] of levels.entries()) {
      const next: Array<Node<Subscriber>> = []
      const wild = depth > 0 || !hidden
      for (const node of nodes) {
        if (wild) take(node.below)
        const exact = node.children?.get(level)
        if (exact !== undefined) next.push(exact)
        const any = wild ? node.children?.get('+') : undefined
        if (any !== undefined) next.push(any)
      }
      nodes = next
      if (nodes.length === 0) return found
    }
    for (const node of nodes) {
      take(node.here)
      take(node.below) // `a/#` matches `a` [MQTT-4.7.1-2]
    }
    return found
  }
}
