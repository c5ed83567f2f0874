// Asks the store for the couriers of a node, in the order in which they asked, a bounded number at a time: after a restart every
// device catches up at once, and each page is memory.

import { backoffMs } from './backoff.js'
import type { HostedCourier } from './hosted-courier.js'
import type { PageRequest } from './machine-types.js'
import type { Mailbox } from '../core/ports/mailbox.js'
import type { Position } from '../core/model/message.js'
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
      if (courier === undefined) continue
      const { machine } = courier
      const hello = machine.takeResume()
      const request = hello === null ? machine.takeRead() : null
      if (hello !== null) void this.ask(courier, 'resume', (m) => this.resume(m, courier, hello.position))
      else if (request !== null) void this.ask(courier, 'read', (m) => this.read(m, courier, request))
    }
    if (this.next === this.queue.length) {
      this.queue = []
      this.next = 0
    }
  }

  private async read(mailbox: Mailbox, courier: HostedCourier, request: PageRequest): Promise<() => void> {
    this.services().counters.reads++
    const result = await mailbox.read({ device: courier.device, claimId: courier.claimId, ...request })
    if (result.kind === 'not_owner') this.services().counters.staleClaimsRefused++
    return () => courier.machine.readDone(result)
  }

  private async resume(mailbox: Mailbox, courier: HostedCourier, position: Position | null): Promise<() => void> {
    const result = await mailbox.resume({ device: courier.device, claimId: courier.claimId, position })
    if (result.kind === 'not_owner') this.services().counters.staleClaimsRefused++
    return () => courier.machine.resumed(result)
  }

  /** Asks, and tells the machine the answer. Never rejects. */
  private async ask(
    courier: HostedCourier,
    what: string,
    question: (mailbox: Mailbox) => Promise<() => void>,
  ): Promise<void> {
    const { mailbox, clock, contact, counters, log, random } = this.services()
    this.active++
    const askedAt = clock.monotonic()
    try {
      const tell = await question(mailbox)
      this.failures = 0
      contact.answered(askedAt)
      contact.check()
      tell()
    } catch (error) {
      counters.readErrors++
      this.failures++
      log.warn({ err: error, device: courier.device, what }, 'the store could not be asked; it is tried again')
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
