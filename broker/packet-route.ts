// Whom a packet of a device concerns, once Aedes has parsed it.

import type { ProtocolError } from './counters.js'
import { COURIER_IDS_FROM } from './frame-scanner.js'
import type { MailboxSession } from './mailbox-session.js'
import { asDevicePacket } from './packets.js'
import type { OrdinaryClient } from './pubsub/client.js'
import type { PublishDesk } from './publish-desk.js'

/** Null: the device has not been let in yet. */
export interface PacketTakers {
  readonly session: MailboxSession | null
  readonly ordinary: OrdinaryClient | null
  readonly publishes: PublishDesk | null
}

/** `taken`: done with. `disconnect`: Aedes', and the device says that it goes. */
export type PacketRoute = 'taken' | 'aedes' | 'disconnect'

export function routePacket(
  parsed: unknown,
  { session, ordinary, publishes }: PacketTakers,
  connection: { violated(error: ProtocolError): void },
): PacketRoute {
  const packet = asDevicePacket(parsed)
  if (packet === null) {
    connection.violated('malformed_packet')
    return 'taken'
  }
  if (packet.cmd === 'other') return packet.name === 'disconnect' ? 'disconnect' : 'aedes'
  if (packet.cmd === 'handshake') {
    if (ordinary?.active === true && packet.messageId < COURIER_IDS_FROM) return 'aedes'
    connection.violated('unsolicited')
    return 'taken'
  }
  if (packet.cmd !== 'publish') session?.accept(packet)
  else if (session?.busy === true) session.afterwards(() => publishes?.accept(packet))
  else publishes?.accept(packet)
  return 'taken'
}
