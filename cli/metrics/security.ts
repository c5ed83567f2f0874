import { counter, counterBy, gauge, metricGroup } from '../../core/metrics/metric-row.js'
import { TokenCounters } from '../../core/security/device-tokens.js'
import { KeySetCounters, type KeySetCache } from '../../core/security/key-set-cache.js'
import { CertificateCounters, type Certificates } from '../../core/tls/certificates.js'
import { SecretCounters } from '../secret-watch.js'

interface Secrets {
  readonly tokens: TokenCounters
  readonly secrets: SecretCounters
}

/** Tokens and secrets. */
export const SECURITY = metricGroup<Secrets>('Tokens and keys', null, [
  counterBy(
    'tokens_refused_total',
    'reason',
    Object.keys(new TokenCounters().refused),
    'Device tokens that were refused',
    '`bad_signature` of everybody: the secret was changed without the old one beside it; `expired`: devices do not renew',
    ({ tokens }) => tokens.refused,
  ),
  counterBy(
    'secret_reloads_total',
    'result',
    Object.keys(new SecretCounters().reloads),
    'Changed files with secrets, taken or not',
    '`failed`: the file cannot be used, and the old secret stays',
    ({ secrets }) => secrets.reloads,
  ),
])

interface KeySet {
  readonly counters: KeySetCounters
  readonly cache: Pick<KeySetCache, 'size' | 'ageMs'>
}

/** The keys of another issuer. */
export const KEY_SET = metricGroup<KeySet>('Keys of an issuer', 'with `--token-jwks`', [
  counterBy(
    'jwks_reads_total',
    'result',
    Object.keys(new KeySetCounters().reads),
    'Reads of the JWKS',
    '`failed`: the issuer is away; known keys are used on for 3 days',
    ({ counters: k }) => k.reads,
  ),
  counter(
    'jwks_unknown_keys_total',
    'Tokens that named a key which the JWKS does not have',
    'Somebody tries, or the issuer signs with a key that it does not publish',
    ({ counters: k }) => k.unknownKeys,
  ),
  gauge(
    'jwks_keys',
    'Keys of the JWKS that verify tokens',
    '0: no such token can be verified',
    ({ cache }) => cache.size,
    'min',
  ),
  gauge(
    'jwks_age_seconds',
    'Since the JWKS was read last',
    'An alert at an hour leaves time enough',
    ({ cache }) => cache.ageMs / 1000,
    'max',
  ),
])

interface Tls {
  readonly counters: CertificateCounters
  readonly certificates: Pick<Certificates, 'current'>
}

/** The server's certificate. */
export const TLS = metricGroup<Tls>('TLS', 'with `--tls-cert`', [
  gauge(
    'tls_certificate_expiry_timestamp_seconds',
    'When the certificate that is served ends, Unix time',
    'Alert days before',
    ({ certificates }) => certificates.current.expiresAt / 1000,
    'min',
  ),
  counterBy(
    'tls_reloads_total',
    'result',
    Object.keys(new CertificateCounters().reloads),
    'Changed TLS files, by whether they could be used',
    '`failed`: the old certificate is served on',
    ({ counters: c }) => c.reloads,
  ),
])
