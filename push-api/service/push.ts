import { PostriderError } from '../../core/errors.js'
import type { AppendAccepted } from '../../core/ports/mailbox.js'
import { FIELD_LIMITS } from '../limits.js'
import { MessageReader } from '../message-reader.js'
import { refusalError, type Refusal } from '../problem.js'
import type { SourceText } from '../source-text.js'
import { hasAtMost, isPrintableAscii } from '../text-rules.js'
import { append, refusalOf } from './append.js'
import type { ServiceContext } from './context.js'
import { checkDeviceId } from './shapes.js'

export interface SinglePush {
  readonly device: string
  /** The message as parsed from `source`. */
  readonly message: unknown
  readonly source: SourceText
  /** Another way to name the dedup id, from outside of the message; both and different are refused. */
  readonly idempotencyKey: string | null
  /** The trace context of the request. */
  readonly traceparent: string | null
}

function dedupIdOf(inMessage: string | null, key: string | null): string | null {
  if (key === null) return inMessage
  const { dedupIdMax } = FIELD_LIMITS
  if (!isPrintableAscii(key) || !hasAtMost(key, dedupIdMax)) {
    throw new PostriderError(
      'bad_request',
      `Idempotency-Key: 1 to ${dedupIdMax} printable ASCII characters are expected`,
    )
  }
  if (inMessage !== null && inMessage !== key) {
    throw new PostriderError('bad_request', 'Idempotency-Key and dedupId differ: give one of them, or the same twice')
  }
  return key
}

function fail(refusal: Refusal, seq: number | undefined): never {
  throw new PostriderError(refusal.code, refusal.message, seq === undefined ? {} : { details: { seq } })
}

/** One message to one device. Rejects with the PostriderError that says why it was not accepted. */
export async function push(context: ServiceContext, request: SinglePush): Promise<AppendAccepted> {
  const { device, message, source, idempotencyKey, traceparent } = request
  checkDeviceId(device)
  const reader = new MessageReader('single', context.limits.payloadMax, traceparent)
  const refusal = reader.read(message, 0, source)
  if (refusal !== null) throw refusalError(refusal)
  const stored = reader.messageFor(device, dedupIdOf(reader.dedupId, idempotencyKey))
  const [result] = await append(context, [stored], traceparent)
  return result !== undefined && result.ok ? result : fail(refusalOf(result), result?.seq)
}
