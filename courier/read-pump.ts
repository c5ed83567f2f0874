// Reads pages for the couriers of a node, in the order in which they asked, a bounded number at a time: after a restart every
// device catches up at once, and each page is memory.

import { backoffMs } from './backoff.js'
import type { HostedCourier } from './hosted-courier.js'
import type { PageRequest } from './machine-types.js'
import type { NodeServices } from './node-services.js'

export class ReadPump {
  private readonly services: () => NodeServices
  private readonly most: number
  private queue: HostedCourier[] = []
  private next = 0
  private active = 0
  private scheduled: NodeJS.Immediate | undefined = undefined
  private failures = 0
  private retry: NodeJS.Timeout | undefined = undefined

  constructor(services: () => NodeServices, most: number) {
    this.services = services
    this.most = most
  }

  /** Reads for the courier after this turn of the event loop, when all acks of the turn have made room. */
  want(courier: HostedCourier): void {
    this.queue.push(courier)
    if (this.retry === undefined) this.schedule()
  }

  stop(): void {
    clearImmediate(this.scheduled)
    clearTimeout(this.retry)
    this.queue = []
    this.next = 0
  }

  private schedule(): void {
    this.scheduled ??= setImmediate(() => {
      this.scheduled = undefined
      this.run()
    })
  }

  private run(): void {
    while (this.next < this.queue.length && this.active < this.most && this.retry === undefined) {
      const courier = this.queue[this.next++]
      const request = courier?.machine.takeRead() ?? null
      if (courier !== undefined && request !== null) void this.read(courier, request)
    }
    if (this.next === this.queue.length) {
      this.queue = []
      this.next = 0
    }
  }

  private async read(courier: HostedCourier, request: PageRequest): Promise<void> {
    const { mailbox, clock, contact, counters, log, random } = this.services()
    this.active++
    counters.reads++
    const askedAt = clock.monotonic()
    try {
      const result = await mailbox.read({ device: courier.device, claimId: courier.claimId, ...request })
      this.failures = 0
      contact.answered(askedAt)
      contact.check()
      courier.machine.readDone(result)
    } catch (error) {
      counters.readErrors++
      this.failures++
      log.warn({ err: error, device: courier.device }, 'a page could not be read; it is tried again')
      courier.machine.readFailed()
      this.retry ??= setTimeout(
        () => {
          this.retry = undefined
          this.run()
        },
        backoffMs(this.failures, random),
      )
      courier.machine.retryRead()
    }
    this.active--
    if (this.next < this.queue.length && this.retry === undefined) this.schedule()
  }
}
