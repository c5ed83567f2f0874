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

/**
 * What the first start says: where the secrets are, and lines to copy that read them from there. The secrets themselves
 * are never printed. Empty when no file was made.
 */
export function firstStartLines(server: RunningServer, config: ServerConfig): string {
  const { made, folder, ports } = server
  if (made.length === 0) return ''
  const host = reachable(config.host)
  const urlHost = host.includes(':') ? `[${host}]` : host
  const data = quote(folder)
  const keyFile = quote(apiKeyFile(folder))
  const lines = ['', 'New secrets were made, readable by you alone (mode 0600):']
  if (made.includes(apiKeyFile(folder))) lines.push(`  ${apiKeyFile(folder)}  the API key, with all scopes`)
  if (made.includes(tokenSecretFile(folder))) lines.push(`  ${tokenSecretFile(folder)}  signs device tokens`)
  lines.push('', 'To try it, copy into another terminal:')
  if (made.includes(tokenSecretFile(folder)) && ports.mqtt !== undefined) {
    lines.push(
      `  TOKEN="$(npx postrider token phone-1 --data ${data})"`,
      `  mosquitto_sub -h ${quote(host)} -p ${ports.mqtt} -i phone-1 -u phone-1 -P "$TOKEN" -t inbox/phone-1 -q 1`,
    )
  }
  if (made.includes(apiKeyFile(folder)) && ports.http !== undefined) {
    lines.push(
      '',
      `  curl -sS http://${urlHost}:${ports.http}/v1/devices/phone-1/messages -H "Authorization: Bearer $(cat ${keyFile})" -H 'Content-Type: application/json' -d '{"payload":"hello"}'`,
    )
  }
  return `${[...lines, ''].join('\n')}\n`
}
