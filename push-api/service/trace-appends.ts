// Messages that came with a trace context of their own: their accept is a span of their own trace, beside their delivery's.

import type { NewMessage } from '../../core/model/message.js'
import { traceparentOf } from '../../core/model/trace-context.js'
import type { AppendResult } from '../../core/ports/mailbox.js'
import type { Tracer } from '../../core/tracing/tracer.js'

/** `shared`: the context of the request, whose span stands for the messages that have no other. `start`: milliseconds. */
export function traceAppends(
  tracer: Tracer,
  messages: readonly NewMessage[],
  results: readonly AppendResult[],
  shared: string | null,
  start: number,
): void {
  for (const [i, { device, attributes }] of messages.entries()) {
    const own = attributes === null ? null : traceparentOf(attributes)
    if (own === null || own === shared) continue
    const span = tracer.follow(own, start)
    if (span === null) continue
    const result = results[i]
    const accepted = result?.ok === true ? result : null
    tracer.end(span, {
      name: 'postrider.accept',
      kind: 'server',
      attributes: {
        'messaging.system': 'postrider',
        'postrider.device': device,
        ...(accepted === null
          ? {}
          : {
              'postrider.epoch': accepted.epoch,
              'postrider.seq': accepted.seq,
              'postrider.duplicate': accepted.duplicate,
            }),
      },
      error: accepted !== null ? null : result?.ok === false ? result.code : 'outcome_unknown',
    })
  }
}
