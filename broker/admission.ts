// The steps between a CONNECT and its CONNACK that need I/O: token, revocation, claim, session.

import type { Clock } from '../core/clock.js'
import { PostriderError } from '../core/errors.js'
import type { Logger } from '../core/log.js'
import type { OrdinaryMessage } from '../core/model/ordinary-message.js'
import type { Credentials } from '../core/ports/credentials.js'
import type { DeviceTokens } from '../core/security/device-tokens.js'
import { ALL_GRANTS, NO_GRANTS, type Acl } from '../protocol/acl.js'
import { ConnectionGone, type Courier, type CourierHost } from '../courier/courier-api.js'
import type { DeviceTransport } from '../courier/device-transport.js'
import type { ClientCertificate } from './client-certificate.js'
import type { SessionMailbox } from './mailbox-session.js'
import {
  isRevoked,
  judgeCertificate,
  judgeIdentity,
  REFUSE_DEVICE_RATE,
  judgeOwnWill,
  REFUSE_GONE,
  REFUSE_KEYS,
  REFUSE_NO_PASSWORD,
  REFUSE_OVERLOADED,
  REFUSE_REVOKED,
  REFUSE_STORE,
  REFUSE_TOKEN,
  type ConnectRefusal,
  type ConnectRequest,
} from './connect-policy.js'

export interface AdmissionOptions {
  readonly couriers: Pick<CourierHost, 'open'>
  /** Null: `--auth none`, no password is looked at. */
  readonly tokens: Pick<DeviceTokens, 'verify'> | null
  readonly credentials: Pick<Credentials, 'revokedAt'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Logger
  /** Counts a CONNECT of this device, whose credentials are good; false: it is one too many. */
  mayConnect(device: string): boolean
}

export interface AdmissionRequest extends ConnectRequest {
  /** What the device has shown in its TLS handshake, verified. */
  readonly certificate: ClientCertificate | null
  readonly password: Uint8Array | null
  /** Null: the id is outside the device pattern, and has no mailbox. */
  readonly transport: DeviceTransport | null
  /** False once the connection has ended. */
  isAlive(): boolean
}

export type Admission =
  | {
      readonly ok: true
      /** Null: no mailbox. */
      readonly courier: Courier | null
      /** When the token or certificate ends, milliseconds UTC; null: never. */
      readonly expiresAt: number | null
      /** What ordinary topics the token grants. */
      readonly acl: Acl
    }
  | { readonly ok: false; readonly refusal: ConnectRefusal }

/** A connection that is let in. */
export interface ConnectionAdmission {
  readonly device: string
  /** Null: the id is outside the device pattern. */
  readonly mailbox: SessionMailbox | null
  readonly acl: Acl
  readonly clean: boolean
  /** Milliseconds UTC; null: never. */
  readonly expiresAt: number | null
  readonly will: OrdinaryMessage | null
}

type Identity = { readonly issuedAt: number; readonly expiresAt: number; readonly acl: Acl }

/**
 * Lets a device in, and makes its connection the owner of the device, or says why not. Never rejects. On a refusal nothing
 * is claimed any more.
 */
export async function admit(request: AdmissionRequest, options: AdmissionOptions): Promise<Admission> {
  try {
    const identity = await identify(request, options)
    if (isRefusal(identity)) return { ok: false, refusal: identity }
    const { clientId: device, transport } = request
    if (!options.mayConnect(device)) return { ok: false, refusal: REFUSE_DEVICE_RATE }
    const expiresAt = identity?.expiresAt ?? null
    const acl = identity?.acl ?? ALL_GRANTS
    if (transport === null) return { ok: true, courier: null, expiresAt, acl }
    const courier = await options.couriers.open({ device, transport, isAlive: () => request.isAlive() })
    const refusal = await settle(courier, request, identity, options)
    if (refusal !== null) {
      await courier.ended()
      return { ok: false, refusal }
    }
    return { ok: true, courier, expiresAt, acl }
  } catch (error) {
    return { ok: false, refusal: refusalOf(error, request.clientId, options.log) }
  }
}

/**
 * Whether the credentials are good, and good for this id. Null: there are no tokens to look at. A client certificate stands in
 * for a token; with both, both must be good, and the token says what is granted.
 */
async function identify(
  request: AdmissionRequest,
  options: AdmissionOptions,
): Promise<Identity | ConnectRefusal | null> {
  const { clientId, certificate } = request
  const { tokens, credentials, clock } = options
  const refusal = certificate === null ? null : judgeCertificate(certificate, clientId, clock.now())
  if (refusal !== null) return refusal
  if (tokens === null) return judgeOwnWill(request, ALL_GRANTS)
  const identity = await credentialsOf(request, tokens, options.log)
  if (isRefusal(identity)) return identity
  return isRevoked(identity.issuedAt, await credentials.revokedAt(clientId)) ? REFUSE_REVOKED : identity
}

async function credentialsOf(
  request: AdmissionRequest,
  tokens: Pick<DeviceTokens, 'verify'>,
  log: Logger,
): Promise<Identity | ConnectRefusal> {
  const { clientId, certificate, password } = request
  if (password === null || password.length === 0) {
    if (certificate === null) return REFUSE_NO_PASSWORD
    return judgeIdentity(request, clientId, NO_GRANTS) ?? { ...certificate, acl: NO_GRANTS }
  }
  const verdict = await tokens.verify(Buffer.from(password).toString('utf8'))
  if (!verdict.ok) {
    log.info({ device: clientId, reason: verdict.reason }, 'token refused')
    return verdict.reason === 'keys_unavailable' ? REFUSE_KEYS : REFUSE_TOKEN
  }
  const refusal = judgeIdentity(request, verdict.device, verdict.acl)
  if (refusal !== null) return refusal
  if (certificate === null) return verdict
  return {
    issuedAt: Math.min(verdict.issuedAt, certificate.issuedAt),
    expiresAt: Math.min(verdict.expiresAt, certificate.expiresAt),
    acl: verdict.acl,
  }
}

/** What must be true once the device is owned. Null: it is. */
async function settle(
  courier: Courier,
  request: AdmissionRequest,
  identity: Identity | null,
  { credentials }: AdmissionOptions,
): Promise<ConnectRefusal | null> {
  if (!request.isAlive()) return REFUSE_GONE
  // Again: a revocation kicks the claim that it finds, and may have looked just before this one was made.
  if (identity !== null && isRevoked(identity.issuedAt, await credentials.revokedAt(request.clientId))) {
    return REFUSE_REVOKED
  }
  // A clean session begins with nothing [MQTT-3.1.2-6].
  if (request.clean && courier.keptSubscription !== null) await courier.keepSubscription(null)
  return request.isAlive() ? null : REFUSE_GONE
}

function isRefusal(value: Identity | ConnectRefusal | null): value is ConnectRefusal {
  return value !== null && 'code' in value
}

function refusalOf(error: unknown, device: string, log: Logger): ConnectRefusal {
  if (error instanceof ConnectionGone) return REFUSE_GONE
  if (error instanceof PostriderError) {
    log.warn({ device, code: error.code, err: error }, 'device could not be admitted')
    return error.code === 'overloaded' ? REFUSE_OVERLOADED : REFUSE_STORE
  }
  log.error({ device, err: error }, 'admission failed')
  return REFUSE_STORE
}
