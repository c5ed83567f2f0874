import { resolve } from 'node:path'
import type { ServerConfig } from '../core/config/server-options.js'
import type { RunningServer } from './compose.js'
import { apiKeyFile, tokenSecretFile } from './secrets.js'

/** A word as the shell reads it back unchanged. */
function quote(text: string): string {
  return /^[A-Za-z0-9._/@:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** What the operator's own machine reaches the listeners by. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '::1'
  return host
}

/** How the operator reaches a listener: the plain one if it is on, else the one with TLS. Null: neither is. */
interface Way {
  readonly host: string
  readonly port: number
  /** For TLS: the file that a client has to trust; null where the authority is not known here. Undefined: no TLS. */
  readonly trust?: string | null
}

function wayTo(
  plain: number | undefined,
  secure: number | undefined,
  { certificates }: RunningServer,
  config: ServerConfig,
): Way | null {
  const host = reachable(config.host)
  if (plain !== undefined) return { host, port: plain }
  if (secure === undefined || certificates === null) return null
  const { endsSelfSigned, host: certified } = certificates.current
  const trust = endsSelfSigned && config.tlsCert !== undefined ? resolve(config.tlsCert) : null
  return { host: certified ?? host, port: secure, trust }
}

function receiveLine({ host, port, trust }: Way): string {
  const tls = trust === undefined ? '' : trust === null ? ' --tls-use-os-certs' : ` --cafile ${quote(trust)}`
  return `  mosquitto_sub -h ${quote(host)} -p ${port}${tls} -i phone-1 -u phone-1 -P "$TOKEN" -t inbox/phone-1 -q 1`
}

function pushLine({ host, port, trust }: Way, keyFile: string): string {
  const url = `${trust === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}`
  const tls = typeof trust === 'string' ? ` --cacert ${quote(trust)}` : ''
  return `  curl -sS${tls} ${url}/v1/devices/phone-1/messages -H "Authorization: Bearer $(cat ${keyFile})" -H 'Content-Type: application/json' -d '{"payload":"hello"}'`
}

/**
 * What the first start says: where the secrets are, and lines to copy that read them from there. The secrets themselves
 * are never printed. Empty when no file was made.
 */
export function firstStartLines(server: RunningServer, config: ServerConfig): string {
  const { made, folder, ports } = server
  if (made.length === 0 || folder === null) return ''
  const data = quote(folder)
  const keyFile = quote(apiKeyFile(folder))
  const lines = ['', 'New secrets were made, readable by you alone (mode 0600):']
  if (made.includes(apiKeyFile(folder))) lines.push(`  ${apiKeyFile(folder)}  the API key, with all scopes`)
  if (made.includes(tokenSecretFile(folder))) lines.push(`  ${tokenSecretFile(folder)}  signs device tokens`)
  lines.push('', 'To try it, copy into another terminal:')
  // Behind a proxy that speaks first, nobody reaches the listener directly.
  const mqtt = config.proxyProtocol ? null : wayTo(ports.mqtt, ports.mqtts, server, config)
  if (made.includes(tokenSecretFile(folder)) && mqtt !== null) {
    lines.push(`  TOKEN="$(npx postrider token phone-1 --data ${data})"`, receiveLine(mqtt))
  }
  const http = wayTo(ports.http, ports.https, server, config)
  if (made.includes(apiKeyFile(folder)) && http !== null) lines.push('', pushLine(http, keyFile))
  return `${[...lines, ''].join('\n')}\n`
}
