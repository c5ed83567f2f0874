// The composition of what knows devices and backends: secrets, the issuer's keys, tokens, API keys.

import { join } from 'node:path'
import type { Clock } from '../core/clock.js'
import type { Environment } from '../core/config/read-environment.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { StartupError } from '../core/errors.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import type { Metrics } from '../core/metrics/metrics.js'
import type { Credentials } from '../core/ports/credentials.js'
import { createKeyring, parseOperatorKeys, type Keyring } from '../core/security/api-keys.js'
import { createDeviceTokens, TokenCounters, type DeviceTokens } from '../core/security/device-tokens.js'
import { createKeySetCache, KeySetCounters, type KeySetCache } from '../core/security/key-set-cache.js'
import { SecretBox } from '../core/security/secret-box.js'
import { fileKeySetMemory } from '../core/security/key-set-memory.js'
import { keySetSource } from '../core/security/key-set-source.js'
import { KeySetError } from '../core/security/key-set.js'
import { parseTokenSecrets } from '../core/security/token-secrets.js'
import { KEY_SET, SECURITY } from './metrics/security.js'
import { SecretCounters, watchSecrets, type WatchedSecret } from './secret-watch.js'
import { loadServerSecrets } from './secrets.js'

export interface SecurityParts {
  readonly config: ServerConfig
  readonly where: ReadonlyMap<string, string>
  readonly env: Environment
  /** The data folder; null: there is none. */
  readonly folder: string | null
  readonly credentials: Credentials
  readonly log: Logger
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
}

export interface Security {
  /** Null: `--auth none`. */
  readonly tokens: DeviceTokens | null
  readonly keyring: Keyring
  /** For secrets that the store keeps. */
  readonly box: SecretBox
  /** Files with secrets that this start made. */
  readonly made: readonly string[]
}

/** After a file store has opened: it is the lock of the folder, so nobody else makes these files at the same time. */
export async function startSecurity(parts: SecurityParts): Promise<Security> {
  const { config, env, folder, credentials, log, clock, metrics, lifecycle } = parts
  const secrets = await lifecycle.step('secrets', () => loadServerSecrets(folder, env))
  const keyring = createKeyring({ credentials, operatorKeys: secrets.operatorKeys, clock })
  const tokenCounters = new TokenCounters()
  const secretCounters = new SecretCounters()
  metrics.expose(SECURITY.of({ tokens: tokenCounters, secrets: secretCounters }))

  const box = new SecretBox(secrets.tokenSecrets)
  const keySet = await startKeySet(parts)
  const tokens =
    config.auth === 'none'
      ? null
      : createDeviceTokens({
          secrets: secrets.tokenSecrets,
          maxTtlSeconds: config.tokenMaxTtl,
          clock,
          counters: tokenCounters,
          issuer: config.tokenIssuer ?? null,
          audience: config.tokenAudience ?? null,
          ...(keySet === null ? {} : { keySet }),
        })

  const watched: WatchedSecret[] = []
  const { apiKey, tokenSecret } = secrets.files
  if (apiKey !== null) {
    watched.push({ ...apiKey, use: (text, path) => keyring.useOperatorKeys(parseOperatorKeys(text, path)) })
  }
  if (tokenSecret !== null) {
    watched.push({
      ...tokenSecret,
      use: (text, path) => {
        const parsed = parseTokenSecrets(text, path)
        tokens?.useSecrets(parsed)
        box.useSecrets(parsed)
      },
    })
  }
  await lifecycle.step(
    'secret watch',
    () => watchSecrets(watched, { log, counters: secretCounters }),
    (watch) => watch.stop(),
  )
  return { tokens, keyring, box, made: secrets.made }
}

async function startKeySet(parts: SecurityParts): Promise<KeySetCache | null> {
  const { config, where, folder, log, clock, metrics, lifecycle } = parts
  const location = config.tokenJwks
  if (location === undefined) return null
  const counters = new KeySetCounters()
  const source = keySetSource(location)
  const memory = folder === null ? null : fileKeySetMemory(join(folder, 'jwks-cache.json'), location, log)
  const cache = createKeySetCache({
    source,
    clock,
    log,
    counters,
    ...(source.kind === 'url' && memory !== null ? { memory } : {}),
  })
  metrics.expose(KEY_SET.of({ counters, cache }))
  await lifecycle.step(
    'key set',
    () =>
      cache.start().catch((cause: unknown) => {
        if (!(cause instanceof KeySetError)) throw cause
        throw new StartupError(`${where.get('tokenJwks') ?? '--token-jwks'}: ${cause.message}`, { cause })
      }),
    async () => cache.stop(),
  )
  return cache
}
