import { PostriderError } from '../../core/errors.js'
import type { DeviceInfo } from '../../core/ports/mailbox.js'
import type { ServiceContext } from './context.js'
import { checkDeviceId, deviceNotFound, rfc3339, rfc3339OrNull } from './shapes.js'

export const DEFAULT_TOKEN_SECONDS = 30 * 24 * 3600

/** How long a delete waits for the node that holds the connection to end it. */
const KICK_TIMEOUT_MS = 2_000

export interface DeviceView {
  readonly device: string
  readonly online: boolean
  readonly node: string | null
  readonly connectedAt: string | null
  readonly lastSeenAt: string | null
  readonly epoch: string
  readonly head: number
  readonly cursor: number
  readonly pending: number
  readonly oldestPendingAt: string | null
  readonly groups: readonly string[]
}

type IsGone = (node: string) => boolean

/** A claim whose node is gone is left over: nobody is connected by it. */
const nodeOf = ({ claim }: DeviceInfo, isGone: IsGone): string | null =>
  claim === null || isGone(claim.node) ? null : claim.node

const viewOf = (info: DeviceInfo, isGone: IsGone): DeviceView => ({
  device: info.device,
  online: nodeOf(info, isGone) !== null,
  node: nodeOf(info, isGone),
  connectedAt: nodeOf(info, isGone) === null ? null : rfc3339OrNull(info.connectedAt),
  lastSeenAt: rfc3339OrNull(info.lastSeenAt),
  epoch: info.epoch,
  head: info.head,
  cursor: info.cursor,
  pending: info.pending,
  oldestPendingAt: rfc3339OrNull(info.oldestPendingAt),
  groups: [],
})

export async function deviceInfo(context: ServiceContext, device: string): Promise<DeviceView> {
  checkDeviceId(device)
  const info = await context.mailbox.info(device)
  if (info === null) throw deviceNotFound(device)
  return viewOf(info, info.claim === null ? () => false : await context.nodes.look())
}

export async function listDevices(
  context: ServiceContext,
  query: { readonly after: string | null; readonly limit: number; readonly online: boolean | null },
): Promise<{ readonly devices: readonly DeviceView[]; readonly next: string | null }> {
  const { after, limit, online } = query
  const isGone = await context.nodes.look()
  const page = await context.mailbox.list({ after, limit, ...(online === null ? {} : { online, isGone }) })
  return { devices: page.devices.map((info) => viewOf(info, isGone)), next: page.next }
}

/** Creates the device, and signs a token for it. RFC 3339 `expiresAt`. */
export async function mintToken(
  context: ServiceContext,
  device: string,
  ttl: number | null,
): Promise<{ readonly token: string; readonly expiresAt: string }> {
  checkDeviceId(device)
  const { tokens, mailbox, credentials, clock } = context
  if (tokens === null) {
    throw new PostriderError('not_supported', 'this server takes devices without a token (--auth none), and signs none')
  }
  const seconds = ttl ?? Math.min(DEFAULT_TOKEN_SECONDS, tokens.maxTtlSeconds)
  if (seconds > tokens.maxTtlSeconds) {
    throw new PostriderError('bad_request', `ttl: an integer of 1 to ${tokens.maxTtlSeconds} (seconds) is expected`)
  }
  await mailbox.ensure(device)
  // A token counts when it was issued after the last revocation, and both have milliseconds: in the very millisecond of a
  // delete, wait for the next one.
  const revokedAt = await credentials.revokedAt(device)
  const early = revokedAt === null ? -1 : revokedAt - clock.now()
  if (early >= 0) await new Promise((resolve) => setTimeout(resolve, Math.min(early + 1, 1_000)))
  const { token, expiresAt } = await tokens.sign(device, seconds)
  return { token, expiresAt: rfc3339(expiresAt) }
}

/**
 * Refuses the tokens and certificates that the device has, forgets it, and ends its connection. Also for a device without a record: its
 * token may have been signed elsewhere. Idempotent. The order matters: a connection that is ended cannot come back.
 */
export async function deleteDevice(context: ServiceContext, device: string): Promise<void> {
  checkDeviceId(device)
  const { credentials, mailbox, bus, forgetSession, revocationSeconds, clock } = context
  const now = clock.now()
  await credentials.revoke(device, now, now + revocationSeconds * 1000)
  const { claim } = await mailbox.purge(device)
  // Unconfirmed is good enough: the claim is gone, and the node's next sweep finds that.
  if (claim !== null) {
    await bus.kick(claim.node, { device, claimId: claim.claimId, reason: 'revoked' }, KICK_TIMEOUT_MS)
  }
  await forgetSession(device)
}
