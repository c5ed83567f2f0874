import type { PacketInterceptor } from './aedes-internals.js'
import type { Timed } from './deadline-wheel.js'
import type { Leaver } from './drain-crew.js'
import type { Stranger } from './doorway.js'
import type { InboundOwner } from './inbound.js'
import type { SessionConnection } from './mailbox-session.js'
import type { MailboxTransportOwner } from './mailbox-transport.js'
import type { OutputOwner } from './output.js'
import type { OrdinaryConnection } from './pubsub/client.js'
import type { PublishingConnection } from './publish-desk.js'
import type { WireHandler } from './wire.js'

/** What a connection is to its parts: each of them knows one of these and not the connection. */
export type ConnectionRoles = WireHandler &
  InboundOwner &
  PacketInterceptor &
  SessionConnection &
  OrdinaryConnection &
  PublishingConnection &
  MailboxTransportOwner &
  OutputOwner &
  Stranger &
  Leaver &
  Timed
