// The messages that wait, by device, and which of them make the next request. What keeps the order of a device: while a request
// with messages of it is under way, no other one takes any; and what must be sent again goes to the front.

import type { PushResult } from './push-result.js'
import type { EncodedItem } from './push-item.js'
import type { PushError } from './push-error.js'

export interface QueuedItem extends EncodedItem {
  /** Monotonic milliseconds after which it is not tried again. */
  readonly deadline: number
  readonly accepted: (result: PushResult) => void
  readonly refused: (error: PushError) => void
  /** Nobody waits for it any more, and it need not be sent. */
  withdrawn: boolean
}

interface DeviceQueue {
  readonly device: string
  items: QueuedItem[]
  /** A request with messages of it is under way, or a pause of its own. */
  busy: boolean
  /** In the ring. */
  ready: boolean
}

export interface BatchLimits {
  readonly count: number
  readonly bytes: number
}

export class DeviceQueues {
  readonly #queues = new Map<string, DeviceQueue>()
  /** Devices with messages that may be sent, in turn. */
  #ring: DeviceQueue[] = []
  #readyCount = 0
  #readyBytes = 0
  count = 0
  bytes = 0

  /** Messages and bytes of devices that are not busy: what the next request could take. */
  get readyCount(): number {
    return this.#readyCount
  }

  get readyBytes(): number {
    return this.#readyBytes
  }

  add(item: QueuedItem): void {
    let queue = this.#queues.get(item.device)
    if (queue === undefined) {
      queue = { device: item.device, items: [], busy: false, ready: false }
      this.#queues.set(item.device, queue)
    }
    queue.items.push(item)
    this.count++
    this.bytes += item.bytes
    if (!queue.busy) {
      this.#readyCount++
      this.#readyBytes += item.bytes
      this.#enter(queue)
    }
  }

  /** Messages for one request, those of a device next to each other and in order. Their devices are busy until `settle`. */
  take(limits: BatchLimits): readonly QueuedItem[] {
    const batch: QueuedItem[] = []
    let bytes = 0
    for (let i = 0; i < this.#ring.length; i++) {
      const queue = this.#ring[i]
      if (queue === undefined) break
      const fits = (item: QueuedItem): boolean =>
        batch.length < limits.count && (batch.length === 0 || bytes + item.bytes <= limits.bytes)
      const before = batch.length
      let taken = 0
      for (const item of queue.items) {
        if (!item.withdrawn) {
          if (!fits(item)) break
          batch.push(item)
          bytes += item.bytes
        }
        taken++
      }
      if (taken === 0) {
        this.#ring = this.#ring.slice(i)
        return batch
      }
      this.#leave(queue)
      this.#remove(queue, taken)
      if (batch.length === before) this.settle(queue.device) // all of them were withdrawn
    }
    this.#ring = []
    return batch
  }

  /** What is to be sent again goes before everything else of its device. The device stays busy. */
  putBack(items: readonly QueuedItem[]): void {
    const byDevice = new Map<string, QueuedItem[]>()
    for (const item of items) {
      const list = byDevice.get(item.device)
      if (list === undefined) byDevice.set(item.device, [item])
      else list.push(item)
    }
    for (const [device, list] of byDevice) {
      const queue = this.#queues.get(device)
      if (queue === undefined) continue
      queue.items = [...list, ...queue.items]
      for (const { bytes } of list) {
        this.count++
        this.bytes += bytes
      }
    }
  }

  /** No request has messages of the device any more. */
  settle(device: string): void {
    const queue = this.#queues.get(device)
    if (queue === undefined) return
    queue.busy = false
    if (queue.items.length === 0) {
      this.#queues.delete(device)
      return
    }
    for (const { bytes } of queue.items) {
      this.#readyCount++
      this.#readyBytes += bytes
    }
    this.#enter(queue)
  }

  /** Everything that waits, and nothing does any more. */
  drain(): readonly QueuedItem[] {
    const items = [...this.#queues.values()].flatMap((queue) => queue.items.splice(0))
    this.#queues.clear()
    this.#ring = []
    this.count = this.bytes = this.#readyCount = this.#readyBytes = 0
    return items
  }

  #enter(queue: DeviceQueue): void {
    if (queue.ready) return
    queue.ready = true
    this.#ring.push(queue)
  }

  /** The device is busy: nothing of it can be taken. */
  #leave(queue: DeviceQueue): void {
    queue.ready = false
    queue.busy = true
    for (const { bytes } of queue.items) {
      this.#readyCount--
      this.#readyBytes -= bytes
    }
  }

  #remove(queue: DeviceQueue, taken: number): void {
    for (const { bytes } of queue.items.slice(0, taken)) {
      this.count--
      this.bytes -= bytes
    }
    queue.items = queue.items.slice(taken)
  }
}
