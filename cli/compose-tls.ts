// The server's certificate, from the settings that name its files.

import type { Clock } from '../core/clock.js'
import { settingName } from '../core/config/option.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { StartupError } from '../core/errors.js'
import type { Lifecycle } from '../core/lifecycle.js'
import type { Logger } from '../core/log.js'
import type { Metrics } from '../core/metrics/metrics.js'
import { CertificateCounters, openCertificates, type Certificates } from '../core/tls/certificates.js'
import { TlsMaterialError, type NamedFile, type TlsFiles } from '../core/tls/material.js'
import { TLS } from './metrics/security.js'

/** Null: TLS is off. */
function tlsFiles(config: ServerConfig, where: ReadonlyMap<string, string>): TlsFiles | null {
  const named = (key: 'tlsCert' | 'tlsKey' | 'tlsClientCa', path: string): NamedFile => ({
    path,
    where: where.get(key) ?? `--${settingName(key)}`,
  })
  const { tlsCert, tlsKey, tlsClientCa } = config
  if (tlsCert === undefined || tlsKey === undefined) return null
  return {
    cert: named('tlsCert', tlsCert),
    key: named('tlsKey', tlsKey),
    clientCa: tlsClientCa === undefined ? null : named('tlsClientCa', tlsClientCa),
  }
}

/**
 * Reads the files, and reads them again on SIGHUP and when they change. Null: TLS is off, and SIGHUP does what it always does.
 * Rejects with StartupError when the files cannot be used.
 */
export async function startTls(parts: {
  readonly config: ServerConfig
  readonly where: ReadonlyMap<string, string>
  readonly log: Logger
  readonly clock: Clock
  readonly metrics: Pick<Metrics, 'expose'>
  readonly lifecycle: Lifecycle
}): Promise<Certificates | null> {
  const { config, where, log, clock, metrics, lifecycle } = parts
  const files = tlsFiles(config, where)
  if (files === null) return null
  const counters = new CertificateCounters()
  const onHangup = (): void => {
    log.info({ signal: 'SIGHUP' }, 'looking at the TLS files')
    void certificates.reload()
  }
  const certificates = await lifecycle.step(
    'tls',
    () => openCertificates({ files, clock, log, counters }).catch(asStartupError),
    async (opened) => {
      process.removeListener('SIGHUP', onHangup)
      await Promise.resolve(opened.stop())
    },
  )
  process.on('SIGHUP', onHangup)
  metrics.expose(TLS.of({ counters, certificates }))
  return certificates
}

function asStartupError(error: unknown): never {
  if (error instanceof TlsMaterialError) throw new StartupError(error.message, { cause: error })
  throw error
}
