import { PostriderError } from '../../core/errors.js'
import type { StoredUplink } from '../../core/ports/uplink.js'
import { FIELD_LIMITS } from '../limits.js'
import { showPayload, TEXT_TYPE } from '../payload.js'
import type { ServiceContext } from './context.js'
import { rfc3339 } from './shapes.js'

export type UplinkView = Readonly<Record<string, unknown>>

/** Without a content type the payload is shown as that of a text, which is text if its bytes are. */
function viewOf({ id, device, channel, at, will, contentType, payload }: StoredUplink): UplinkView {
  return { id, device, channel, at: rfc3339(at), will, contentType, ...showPayload(payload, contentType ?? TEXT_TYPE) }
}

/** A page of what devices sent. `next` is the `after` of the next page. */
export async function readUplink(
  context: ServiceContext,
  after: string | null,
  limit: number,
): Promise<{ readonly uplink: readonly UplinkView[]; readonly next: string | null }> {
  const page = await context.uplink.read({ after, limit, maxBytes: FIELD_LIMITS.peekMaxBytes })
  if (page === null) {
    throw new PostriderError('bad_request', '`after` must be the `next` of a page or the `id` of an uplink')
  }
  return { uplink: page.uplinks.map(viewOf), next: page.more ? (page.uplinks.at(-1)?.id ?? null) : null }
}
