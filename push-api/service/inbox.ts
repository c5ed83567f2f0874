import { PostriderError } from '../../core/errors.js'
import type { StoredMessage } from '../../core/model/message.js'
import { FIELD_LIMITS } from '../limits.js'
import { showPayload } from '../payload.js'
import type { ServiceContext } from './context.js'
import { checkDeviceId, deviceNotFound, rfc3339, rfc3339OrNull } from './shapes.js'

export type MessageView = Readonly<Record<string, unknown>>

function viewOf(epoch: string, m: StoredMessage): MessageView {
  return {
    seq: m.seq,
    epoch,
    at: rfc3339(m.at),
    expiresAt: rfc3339OrNull(m.expiresAt),
    dedupId: m.dedupId,
    contentType: m.contentType,
    // fromEntries defines properties, so that `__proto__` is an ordinary key
    attributes: Object.fromEntries(m.attributes ?? []),
    priority: m.priority,
    ...showPayload(m.payload, m.contentType),
  }
}

const gone = (seq: number): PostriderError =>
  new PostriderError('message_gone', `no message with seq ${seq} and that epoch is known (any more)`)

/** What is pending, changed in nothing. `next` is the `after` of the next page. */
export async function peek(
  context: ServiceContext,
  device: string,
  query: { readonly after: number; readonly limit: number },
): Promise<{ readonly messages: readonly MessageView[]; readonly next: string | null }> {
  checkDeviceId(device)
  const page = await context.mailbox.peek(device, { ...query, maxBytes: FIELD_LIMITS.peekMaxBytes })
  if (page === null) throw deviceNotFound(device)
  const last = page.messages[page.messages.length - 1]
  return {
    messages: page.messages.map(({ epoch, message }) => viewOf(epoch, message)),
    next: page.more && last !== undefined ? String(last.message.seq) : null,
  }
}

export interface StateView {
  readonly seq: number
  readonly epoch: string
  readonly state: string
  readonly at: string | null
  readonly expiresAt: string | null
}

/** What became of a message. `epoch` null: whatever epoch the seq is in now. */
export async function messageState(
  context: ServiceContext,
  device: string,
  seq: number,
  epoch: string | null,
): Promise<StateView> {
  checkDeviceId(device)
  const found = await context.mailbox.state(device, seq, epoch)
  if (found.kind === 'no_device') throw deviceNotFound(device)
  if (found.kind === 'gone') throw gone(seq)
  return {
    seq: found.seq,
    epoch: found.epoch,
    state: found.state,
    at: rfc3339OrNull(found.at),
    expiresAt: rfc3339OrNull(found.expiresAt),
  }
}

/** Takes a pending message back. Idempotent. */
export async function cancelMessage(
  context: ServiceContext,
  device: string,
  seq: number,
  epoch: string | null,
): Promise<{ readonly state: 'cancelled'; readonly maybeDelivered: boolean }> {
  checkDeviceId(device)
  const result = await context.mailbox.cancel(device, seq, epoch)
  if (result.kind === 'no_device') throw deviceNotFound(device)
  if (result.kind === 'gone') throw gone(seq)
  if (result.kind === 'already_handled') {
    throw new PostriderError('already_handled', `the message with seq ${seq} cannot be cancelled any more`)
  }
  return { state: 'cancelled', maybeDelivered: result.maybeDelivered }
}
