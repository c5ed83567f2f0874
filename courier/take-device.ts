// How a new connection becomes the owner of its device.

import type { LiveNodes } from '../core/live-nodes.js'
import type { Bus } from '../core/ports/bus.js'
import type { Claim, ClaimGranted, ClaimHeld } from '../core/ports/mailbox.js'
import { ConnectionGone, type OpenRequest } from './courier-api.js'
import type { NodeServices } from './node-services.js'

export interface TakeDeviceOptions {
  readonly services: NodeServices
  readonly bus: Bus
  readonly nodes: Pick<LiveNodes, 'look'>
  readonly request: OpenRequest
  readonly claimId: string
  /** How long the present owner may take to flush and release. */
  readonly kickTimeoutMs: number
}

/**
 * 1. claim; 2. if the device is held: ask its owner to flush and release, which is waited for unless its node is known to be
 * gone; 3. claim again; 4. claim by force. Gives up between any two of them when the socket has ended, so that a dead connection
 * takes the device from nobody. Rejects with ConnectionGone, or as Mailbox does; the claim may be stored then.
 */
export async function takeDevice(options: TakeDeviceOptions): Promise<ClaimGranted> {
  const { bus, nodes, request, kickTimeoutMs } = options
  const { counters } = options.services
  const { device } = request

  const first = await claim(options, false)
  if (first.ok) return first
  counters.takeovers++
  const kick = ({ node, claimId }: Claim): Promise<boolean> =>
    bus.kick(node, { device, claimId, reason: 'taken_over' }, kickTimeoutMs)
  await Promise.race([kick(first.claim), gone(nodes, first.claim.node)])
  const second = await claim(options, false)
  if (second.ok) return second
  if (second.claim.claimId !== first.claim.claimId) await kick(second.claim) // somebody else came in between
  counters.staleClaims++
  const last = await claim(options, true)
  if (last.ok) return last
  throw new TypeError('a forced claim was refused, against the contract of Mailbox.claim')
}

/** Resolves if the node is known to be gone. A node that has just joined is asked all the same, but may not be waited for. */
async function gone(nodes: Pick<LiveNodes, 'look'>, node: string): Promise<void> {
  const isGone = await nodes.look()
  if (!isGone(node)) await new Promise<never>(() => {})
}

async function claim(options: TakeDeviceOptions, force: boolean): Promise<ClaimGranted | ClaimHeld> {
  const { services, request, claimId } = options
  if (!request.isAlive()) throw new ConnectionGone()
  const mine: Claim = { node: services.node, claimId }
  const askedAt = services.clock.monotonic()
  const answer = await services.mailbox.claim(request.device, mine, { force })
  services.contact.answered(askedAt)
  return answer
}
