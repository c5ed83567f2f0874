import { EntranceCounters } from './listeners/entrance.js'
import type { CloseCode } from '../protocol/codes.js'
import type { FrameViolation } from './frame-scanner.js'
import type { ThrottleReason } from './intake.js'
import type { PublishDenial } from './publish-policy.js'
import type { TopicExcess } from './topic-limits.js'

/** What became of a CONNECT. */
export type ConnectResult =
  | 'accepted'
  | 'unacceptable_level'
  | 'bad_id'
  /** The node, or the store, has too much to do or too many connections. */
  | 'overloaded'
  /** More CONNECTs than the rate of the node, of the address, or of the device. */
  | 'node_rate'
  | 'address_rate'
  | 'device_rate'
  /** As many connections from this address as allowed. */
  | 'address_connections'
  | 'draining'
  | 'store_unavailable'
  | 'no_password'
  | 'bad_token'
  /** The keys that could verify the token are not there now. */
  | 'keys_unavailable'
  | 'revoked'
  | 'wrong_username'
  | 'wrong_subject'
  /** A client certificate of another device, or one that is not for a device. */
  | 'wrong_certificate'
  | 'certificate_expired'
  | 'will_refused'
  /** The socket ended before it was answered. */
  | 'gone'

/** Why a connection ended: our close codes, and what the device or the network did. */
export type CloseReason =
  | CloseCode
  /** The device said DISCONNECT. */
  | 'disconnect'
  /** The device's side ended without one. */
  | 'client'
  /** After a CONNACK with a refusal. */
  | 'refused'
  | 'connect_timeout'
  /** A packet began and did not come to its end in time. */
  | 'packet_timeout'
  | 'keepalive_timeout'
  | 'publish_denied'
  /** An uplink with QoS 1 was not stored. */
  | 'uplink_refused'
  /** More sockets than the node bears: this one had waited longest without saying who it is. */
  | 'too_many_sockets'
  | 'shutdown'

/** Why a filter was answered 0x80. */
export type SubackRefusal =
  | 'qos_0'
  | 'other_mode'
  | 'foreign'
  | 'reserved'
  | 'system'
  | 'no_grant'
  | 'too_many'
  /** As many sessions are stored as may be. */
  | 'sessions_full'
  | TopicExcess

/** What a device did against the protocol. */
export type ProtocolError =
  | FrameViolation
  | 'bad_websocket'
  | 'malformed_packet'
  | 'malformed_filter'
  | 'empty_list'
  | 'too_many_filters'
  /** PUBREC or PUBCOMP from a client that was sent nothing with QoS 2. */
  | 'unsolicited'
  /** More QoS 2 messages that wait for their PUBREL than allowed. */
  | 'too_many_qos_2'
  | 'packet_id_0'
  /** Bytes on a control topic that are no frame of it. */
  | 'bad_frame'
  /** A second hello, an ack before it, or either without a subscription to the stream. */
  | 'unexpected_frame'
  /** A device in stream mode that leaves PUBACKs out. */
  | 'too_many_unreceived'
  | 'password_without_username'

/** What a drain did. */
export class DrainCounters {
  /** Connections that are sent nothing more and have not ended yet. */
  leaving = 0
  /** Connections that it ended: with nothing in flight, after a moment for what was, or because no more time was left. */
  readonly ended = { idle: 0, busy: 0, rest: 0 }
}

/** The broker's numbers; the composition exposes them. Plain fields, because the hot path adds to them. */
export class BrokerCounters {
  /** What happens before the first byte of MQTT. */
  readonly entrance = new EntranceCounters()
  /** Sockets open now, with or without a CONNECT. */
  sockets = 0
  /** Connections accepted and not closed yet. */
  connections = 0
  bytesIn = 0
  bytesOut = 0
  /** PUBLISH packets sent, and those of them with DUP. */
  publishesSent = 0
  publishesRedelivered = 0
  /** PUBACK packets taken for the courier, and all PUBACKs with a packet id that nothing waits for. */
  pubacks = 0
  pubacksUnknown = 0
  subscribesGranted = 0
  /** Stream mode: frames sent (they count as PUBLISH packets too) and taken. */
  framesSent = 0
  framesReceived = 0

  readonly connects: Record<ConnectResult, number> = {
    accepted: 0,
    unacceptable_level: 0,
    bad_id: 0,
    overloaded: 0,
    node_rate: 0,
    address_rate: 0,
    device_rate: 0,
    address_connections: 0,
    draining: 0,
    store_unavailable: 0,
    no_password: 0,
    bad_token: 0,
    keys_unavailable: 0,
    revoked: 0,
    wrong_username: 0,
    wrong_subject: 0,
    wrong_certificate: 0,
    certificate_expired: 0,
    will_refused: 0,
    gone: 0,
  }

  readonly closes: Record<CloseReason, number> = {
    taken_over: 0,
    resync: 0,
    revoked: 0,
    token_expired: 0,
    draining: 0,
    overload: 0,
    protocol_error: 0,
    slow_consumer: 0,
    disconnect: 0,
    client: 0,
    refused: 0,
    connect_timeout: 0,
    packet_timeout: 0,
    keepalive_timeout: 0,
    publish_denied: 0,
    uplink_refused: 0,
    too_many_sockets: 0,
    shutdown: 0,
  }

  readonly subacksRefused: Record<SubackRefusal, number> = {
    qos_0: 0,
    other_mode: 0,
    foreign: 0,
    reserved: 0,
    system: 0,
    no_grant: 0,
    too_many: 0,
    too_long: 0,
    too_deep: 0,
    sessions_full: 0,
  }

  /** Times that a connection was not read for a while, by the rate that it had used up. */
  readonly throttled: Record<Exclude<ThrottleReason, 'turn'>, number> = {
    publishes: 0,
    publishes_of_address: 0,
    packets: 0,
    bytes: 0,
  }

  readonly publishesDenied: Record<PublishDenial | TopicExcess, number> = {
    foreign: 0,
    reserved: 0,
    system: 0,
    no_grant: 0,
    malformed: 0,
    qos_2: 0,
    too_large: 0,
    too_long: 0,
    too_deep: 0,
  }

  readonly protocolErrors: Record<ProtocolError, number> = {
    not_connect: 0,
    bad_protocol_name: 0,
    second_connect: 0,
    server_packet: 0,
    reserved_type: 0,
    unsolicited: 0,
    too_many_qos_2: 0,
    bad_flags: 0,
    bad_length: 0,
    oversize: 0,
    bad_websocket: 0,
    malformed_packet: 0,
    malformed_filter: 0,
    empty_list: 0,
    too_many_filters: 0,
    packet_id_0: 0,
    bad_frame: 0,
    unexpected_frame: 0,
    too_many_unreceived: 0,
    password_without_username: 0,
  }
}
