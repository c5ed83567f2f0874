// What is on its way to other nodes. What is sent in one turn of the event loop to one node is one publication. Nothing waits
// for long: what Redis does not take now is dropped and counted; its number is used up, so that the node finds out with the
// next packet, or with a mark that is repeated until one gets through.

import { randomBytes } from 'node:crypto'
import { messageSize } from '../../model/message.js'
import type { Notice } from '../../ports/bus.js'
import type { RedisBusCounters } from './counters.js'
import { encodeNotice, encodePacket, noticesPacket, type PacketBody } from './packet.js'

/** Of one packet; a larger notice goes alone. */
const PACKET_BYTES = 1024 * 1024
const PACKET_NOTICES = 10_000
/** What is not answered yet, over all nodes. */
const MOST_BYTES = 32 * 1024 * 1024
/** A node that nothing was sent to for so long is forgotten, with its numbers. */
const FORGET_MS = 600_000

interface Link {
  readonly stream: Buffer
  number: number
  waiting: Array<readonly Notice[]>
  waitingBytes: number
  /** A packet did not get through, and the node may not know. */
  untold: boolean
  usedAt: number
}

export interface OutboxOptions {
  readonly counters: RedisBusCounters
  readonly monotonic: () => number
  /** Resolves with the number of receivers. */
  readonly publish: (node: string, packet: Buffer) => Promise<number>
}

export class Outbox {
  readonly #options: OutboxOptions
  readonly #links = new Map<string, Link>()
  readonly #full = new Set<string>()
  #bytes = 0
  #closed = false

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Of notices that wait and packets that are not answered. */
  get bytes(): number {
    return this.#bytes
  }

  /** Never blocks, never throws. */
  notify(node: string, notices: readonly Notice[]): void {
    const { counters } = this.#options
    if (this.#closed || notices.length === 0) {
      counters.noticesDropped += notices.length
      return
    }
    const link = this.#link(node)
    let bytes = 0
    for (const { message } of notices) bytes += messageSize(message)
    if (this.#bytes + bytes > MOST_BYTES) {
      counters.noticesDropped += notices.length
      link.number++
      link.untold = true
      return
    }
    this.#bytes += bytes
    link.waitingBytes += bytes
    link.waiting.push(notices)
    if (this.#full.size === 0) process.nextTick(() => this.#flush())
    this.#full.add(node)
  }

  /** A packet of its own. Resolves with the number of receivers; rejects when it could not be sent. */
  send(node: string, body: Exclude<PacketBody, { readonly kind: 'notices' | 'mark' | 'beat' }>): Promise<number> {
    if (this.#closed) return Promise.resolve(0)
    this.#flush() // so that numbers go out in order
    const link = this.#link(node)
    return this.#publish(node, link, encodePacket(link.stream, ++link.number, body))
  }

  /** From time to time: marks, and forgets. */
  tick(): void {
    const now = this.#options.monotonic()
    for (const [node, link] of this.#links) {
      if (link.untold) {
        link.untold = false // the failure sets it again
        const mark = encodePacket(link.stream, link.number, { kind: 'mark' })
        this.#publish(node, link, mark).catch(() => undefined) // counted, and tried again
      } else if (now - link.usedAt > FORGET_MS && link.waiting.length === 0) this.#links.delete(node)
    }
  }

  close(): void {
    this.#flush()
    this.#closed = true
    this.#links.clear()
  }

  #link(node: string): Link {
    const usedAt = this.#options.monotonic()
    const known = this.#links.get(node)
    if (known !== undefined) {
      known.usedAt = usedAt
      return known
    }
    const link: Link = { stream: randomBytes(8), number: 0, waiting: [], waitingBytes: 0, untold: false, usedAt }
    this.#links.set(node, link)
    return link
  }

  #flush(): void {
    const nodes = [...this.#full]
    this.#full.clear()
    for (const node of nodes) {
      const link = this.#links.get(node)
      if (link === undefined) continue
      const { waiting, waitingBytes } = link
      link.waiting = []
      link.waitingBytes = 0
      this.#bytes -= waitingBytes
      for (const { packet, notices } of packets(waiting, link)) {
        this.#publish(node, link, packet).then(
          (receivers) => {
            if (receivers > 0) this.#options.counters.noticesSent += notices
            else this.#options.counters.noticesDropped += notices
          },
          () => (this.#options.counters.noticesDropped += notices),
        )
      }
    }
  }

  async #publish(node: string, link: Link, packet: Buffer): Promise<number> {
    this.#bytes += packet.length
    try {
      return await this.#options.publish(node, packet)
    } catch (error) {
      this.#options.counters.packetsFailed++
      link.untold = true
      throw error
    } finally {
      this.#bytes -= packet.length
    }
  }
}

/** Encodes what waits into as few packets as fit; numbers them. */
function* packets(
  waiting: ReadonlyArray<readonly Notice[]>,
  link: Link,
): Generator<{ readonly packet: Buffer; readonly notices: number }> {
  let frames: Buffer[][] = []
  let bytes = 0
  let count = 0
  const take = () => {
    const packet = noticesPacket(link.stream, ++link.number, frames)
    const notices = count
    frames = []
    bytes = 0
    count = 0
    return { packet, notices }
  }
  for (const notices of waiting) {
    let frame: Buffer[] = []
    frames.push(frame)
    for (const notice of notices) {
      const encoded = encodeNotice(notice)
      if (count > 0 && (bytes + encoded.length > PACKET_BYTES || count === PACKET_NOTICES)) {
        yield take()
        frame = []
        frames = [frame]
      }
      frame.push(encoded)
      bytes += encoded.length
      count++
    }
  }
  if (count > 0) yield take()
}
