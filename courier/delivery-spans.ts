// The spans of what one connection was sent and has not acknowledged, of the messages that are traced.

import type { OpenSpan } from '../core/tracing/span.js'
import type { Tracer } from '../core/tracing/tracer.js'

export interface Delivery {
  readonly epoch: string
  readonly seq: number
  /** An earlier connection may have seen it. */
  readonly redelivered: boolean
}

interface OpenDelivery extends Delivery {
  readonly span: OpenSpan
}

export class DeliverySpans {
  readonly #tracer: Tracer
  readonly #device: string
  /** In the order in which they were sent, and so by seq: messages leave the window in that order. */
  readonly #open: OpenDelivery[] = []

  constructor(tracer: Tracer, device: string) {
    this.#tracer = tracer
    this.#device = device
  }

  sent(traceparent: string, delivery: Delivery): void {
    const span = this.#tracer.follow(traceparent)
    if (span !== null) this.#open.push({ ...delivery, span })
  }

  /** The device has acknowledged the message. */
  handled(seq: number): void {
    for (let first = this.#open[0]; first !== undefined && first.seq <= seq; first = this.#open[0]) {
      this.#open.shift()
      this.#end(first, first.seq === seq)
    }
  }

  /** The connection is over; what it has not acknowledged is sent again on the next one, in a span of its own. */
  over(): void {
    for (const delivery of this.#open.splice(0)) this.#end(delivery, false)
  }

  #end({ span, epoch, seq, redelivered }: OpenDelivery, handled: boolean): void {
    this.#tracer.end(span, {
      name: 'postrider.deliver',
      kind: 'client',
      attributes: {
        'messaging.system': 'postrider',
        'postrider.device': this.#device,
        'postrider.epoch': epoch,
        'postrider.seq': seq,
        'postrider.redelivered': redelivered,
        'postrider.handled': handled,
      },
    })
  }
}
