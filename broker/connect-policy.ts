// Who is let in: every decision about a CONNECT that needs no I/O. The codes are those of the design, section 4; the
// protocol level was judged by the frame scanner before.

import type { OrdinaryMessage } from '../core/model/ordinary-message.js'
import { allows, type Acl } from '../protocol/acl.js'
import { CONNACK, type ConnackCode } from '../protocol/codes.js'
import { isDeviceId } from '../protocol/device-id.js'
import type { ClientCertificate } from './client-certificate.js'
import type { ConnectResult } from './counters.js'
import type { BrokerLimits } from './limits.js'
import { judgeWill } from './publish-policy.js'
import { topicExcess, type TopicLimits } from './topic-limits.js'

export interface ConnectRefusal {
  readonly code: Exclude<ConnackCode, 0>
  readonly result: Exclude<ConnectResult, 'accepted'>
}

/** What a CONNECT says, as far as decisions need it. */
export interface ConnectRequest {
  readonly clientId: string
  readonly username: string | undefined
  readonly clean: boolean
  readonly will: OrdinaryMessage | null
}

/** How the node is, at the time of a CONNECT. */
export interface NodeLoad {
  readonly draining: boolean
  /** Counts the CONNECT; which limit it is over, or null. Asked at most once, and last. */
  over(): ConnectExcess | null
}

/** A limit that a CONNECT can be over: all are answered CONNACK 3, so that the device tries again later. */
export type ConnectExcess = 'overloaded' | 'node_rate' | 'address_rate' | 'address_connections'

const refuse = (code: ConnectRefusal['code'], result: ConnectRefusal['result']): ConnectRefusal => ({ code, result })

export const REFUSE_LEVEL = refuse(CONNACK.unacceptableProtocol, 'unacceptable_level')
export const REFUSE_STORE = refuse(CONNACK.serverUnavailable, 'store_unavailable')
export const REFUSE_OVERLOADED = refuse(CONNACK.serverUnavailable, 'overloaded')
export const REFUSE_DEVICE_RATE = refuse(CONNACK.serverUnavailable, 'device_rate')
const REFUSE_DRAINING = refuse(CONNACK.serverUnavailable, 'draining')
export const REFUSE_GONE = refuse(CONNACK.serverUnavailable, 'gone')
export const REFUSE_NO_PASSWORD = refuse(CONNACK.badCredentials, 'no_password')
export const REFUSE_TOKEN = refuse(CONNACK.badCredentials, 'bad_token')
/** Nothing is known of the token, so it is not called a bad one: the device shall come again with it. */
export const REFUSE_KEYS = refuse(CONNACK.serverUnavailable, 'keys_unavailable')
export const REFUSE_REVOKED = refuse(CONNACK.badCredentials, 'revoked')

/** Before anything is spent on it: the id, then whether the node takes devices at all. Null: go on. */
export function judgeConnect(
  request: Pick<ConnectRequest, 'clientId' | 'clean'>,
  load: NodeLoad,
  auth: 'token' | 'none',
): ConnectRefusal | null {
  if (!isAcceptableId(request, auth)) return refuse(CONNACK.identifierRejected, 'bad_id')
  if (load.draining) return REFUSE_DRAINING
  const excess = load.over()
  return excess === null ? null : refuse(CONNACK.serverUnavailable, excess)
}

/**
 * Devices' ids; without tokens every text that MQTT allows, up to 128 characters, and the empty one with clean session
 * [MQTT-3.1.3-5], [MQTT-3.1.3-8].
 */
function isAcceptableId(
  { clientId, clean }: Pick<ConnectRequest, 'clientId' | 'clean'>,
  auth: 'token' | 'none',
): boolean {
  if (auth === 'token' || isDeviceId(clientId)) return isDeviceId(clientId)
  if (clientId === '') return clean
  // U+FFFD is what broken UTF-8 decodes to [MQTT-1.5.3-1].
  return clientId.length <= 256 && Array.from(clientId).length <= 128 && !/[\0\uFFFD]/.test(clientId)
}

/** After the credentials were found good: whether they are good for this id, and whether the will is allowed. */
export function judgeIdentity(
  request: Pick<ConnectRequest, 'clientId' | 'username' | 'will'>,
  subject: string,
  acl: Acl,
): ConnectRefusal | null {
  if (subject !== request.clientId) return refuse(CONNACK.notAuthorized, 'wrong_subject')
  if (request.username !== undefined && request.username !== '' && request.username !== request.clientId) {
    return refuse(CONNACK.notAuthorized, 'wrong_username')
  }
  return judgeOwnWill(request, acl)
}

/** A will is a publish of the device. */
export function judgeOwnWill(
  { clientId, will }: Pick<ConnectRequest, 'clientId' | 'will'>,
  acl: Acl,
): ConnectRefusal | null {
  if (will === null) return null
  const road = judgeWill(will, {
    device: clientId,
    hasMailbox: isDeviceId(clientId),
    mayPublish: (topic) => allows(acl.publish, topic),
  })
  return road.kind === 'ordinary' || road.kind === 'uplink' ? null : refuse(CONNACK.notAuthorized, 'will_refused')
}

/** What of a will is over a limit that holds for every message; null: nothing. */
export function judgeWillSize(
  { will }: Pick<ConnectRequest, 'will'>,
  limits: TopicLimits & Pick<BrokerLimits, 'maxPayloadBytes'>,
): ConnectRefusal | null {
  if (will === null) return null
  const fits = topicExcess(will.topic, limits) === null && will.payload.length <= limits.maxPayloadBytes
  return fits ? null : refuse(CONNACK.notAuthorized, 'will_refused')
}

/** A client certificate must be for this id, and in its time when the device comes: a resumed session is not verified again. */
export function judgeCertificate(
  { device, expiresAt }: Pick<ClientCertificate, 'device' | 'expiresAt'>,
  clientId: string,
  now: number,
): ConnectRefusal | null {
  if (device !== clientId) return refuse(CONNACK.notAuthorized, 'wrong_certificate')
  return expiresAt > now ? null : refuse(CONNACK.badCredentials, 'certificate_expired')
}

/** A token or certificate issued at or before the revocation is worth nothing. Milliseconds. */
export function isRevoked(issuedAt: number, revokedAt: number | null): boolean {
  return revokedAt !== null && issuedAt <= revokedAt
}
