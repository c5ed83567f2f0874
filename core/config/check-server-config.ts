import { DEVICE_ID_MAX } from '../../protocol/device-id.js'
import { UPLINK_CHANNEL_MAX_BYTES } from '../../protocol/topics.js'
import { stopReserveMs } from '../drain.js'
import { StartupError } from '../errors.js'
import { messageSize } from '../model/message.js'
import { isLoopback } from '../net/loopback.js'
import { uplinkSize } from '../ports/uplink.js'
import { isMongoUrl, MONGO_PAYLOAD_MAX } from './mongo-location.js'
import { isRedisUrl } from './redis-location.js'
import { settingName } from './option.js'
import type { ServerConfig } from './server-options.js'

type Where = ReadonlyMap<string, string>

function refuse(message: string): never {
  throw new StartupError(message)
}

const PLAIN_LISTENERS = ['mqttPort', 'wsPort', 'httpPort', 'adminPort'] as const
const TLS_LISTENERS = ['mqttsPort', 'wssPort', 'httpsPort'] as const

const DEVICE_LISTENERS: ReadonlySet<string> = new Set(['mqttPort', 'wsPort', 'mqttsPort', 'wssPort'])
const API_LISTENERS: ReadonlySet<string> = new Set(['httpPort', 'httpsPort'])

/** The settings of the listeners that have a port with this configuration. */
export function listenersOf(
  config: ServerConfig,
): ReadonlyArray<(typeof PLAIN_LISTENERS | typeof TLS_LISTENERS)[number]> {
  const all = config.tlsCert === undefined ? PLAIN_LISTENERS : [...PLAIN_LISTENERS, ...TLS_LISTENERS]
  const { role } = config
  return all.filter(
    (key) =>
      config[key] !== null &&
      !(role === 'api' && DEVICE_LISTENERS.has(key)) &&
      !(role === 'broker' && API_LISTENERS.has(key)),
  )
}

/**
 * The rules over more than one setting. Throws a StartupError (exit code 78) that names both where they came from.
 * `where`: the source of each setting that is not a default.
 */
export function checkServerConfig(config: ServerConfig, where: Where): void {
  const name = (key: keyof ServerConfig): string => where.get(key) ?? `--${settingName(key)} (default)`

  if (config.auth === 'none' && !isLoopback(config.host)) {
    refuse(
      `${name('auth')} none: anybody could take any device's messages, so it is for a loopback address only, not for ${name('host')} ${config.host}; use --host 127.0.0.1 or --auth token`,
    )
  }
  if (config.auth === 'none' && config.tokenJwks !== undefined) {
    refuse(`${name('tokenJwks')}: no token is looked at with ${name('auth')} none; leave one of them out`)
  }
  for (const key of ['tokenIssuer', 'tokenAudience'] as const) {
    if (config[key] !== undefined && config.tokenJwks === undefined) {
      refuse(`${name(key)}: means something only for tokens that are verified with --token-jwks, which is not set`)
    }
  }
  if (config.window > config.windowMax) {
    refuse(`${name('window')} ${config.window} is over ${name('windowMax')} ${config.windowMax}`)
  }
  const largest = messageSize({ payload: new Uint8Array(0), contentType: '', attributes: null, dedupId: null })
  if (config.payloadMax + largest > config.inboxMaxBytes) {
    refuse(
      `${name('payloadMax')} ${config.payloadMax} bytes is over what an inbox holds, ${name('inboxMaxBytes')} ${config.inboxMaxBytes} bytes: such a message could never be accepted`,
    )
  }
  const uplink = uplinkSize({
    device: 'x'.repeat(DEVICE_ID_MAX),
    channel: 'x'.repeat(UPLINK_CHANNEL_MAX_BYTES),
    contentType: null,
    payload: new Uint8Array(0),
  })
  if (config.payloadMax + uplink > config.uplinkMax) {
    refuse(
      `${name('payloadMax')} ${config.payloadMax} bytes is over what is kept of all uplink, ${name('uplinkMax')} ${config.uplinkMax} bytes: such an uplink could never be stored`,
    )
  }
  if (config.payloadMax > config.bodyMax) {
    refuse(
      `${name('payloadMax')} ${config.payloadMax} bytes is over ${name('bodyMax')} ${config.bodyMax} bytes: such a message could never be sent`,
    )
  }
  if (config.drainDelay > config.drainDeadline - stopReserveMs(config.drainDeadline)) {
    refuse(
      `${name('drainDelay')}: leaves no time to let go of connections before ${name('drainDeadline')}, of which the last ${stopReserveMs(config.drainDeadline) / 1000} s are for the stop itself`,
    )
  }
  checkStore(config, where, name)
  checkTls(config, where, name)
  const listeners = listenersOf(config)
  if (config.role !== 'api' && !listeners.some((key) => DEVICE_LISTENERS.has(key))) {
    refuse(`${name('mqttPort')} off and ${name('wsPort')} off: no device could connect; leave one of them on`)
  }
  if (config.role !== 'broker' && !listeners.some((key) => API_LISTENERS.has(key))) {
    refuse(
      `${name('httpPort')} off: nobody could push; leave it on, or turn TLS on (--tls-cert, --tls-key) for --https-port`,
    )
  }
  for (const [i, key] of listeners.entries()) {
    const other = listeners.slice(0, i).find((earlier) => config[earlier] === config[key])
    if (other !== undefined && config[key] !== 0) {
      refuse(`${name(key)} ${config[key]} is the same port as ${name(other)}`)
    }
  }
}

/** What means something for one kind of store only. */
function checkStore(config: ServerConfig, where: Where, name: (key: keyof ServerConfig) => string): void {
  const redis = isRedisUrl(config.store)
  const mongo = isMongoUrl(config.store)
  for (const key of ['redisWait', 'redisNoAof'] as const) {
    if (!redis && where.has(key))
      refuse(`${name(key)}: means something only with a Redis store; give --store redis://…`)
  }
  if (mongo) return checkMongo(config, where, name)
  if (redis) {
    if (!where.has('durability')) return
    refuse(
      `${name('durability')}: is for a file store; how durable a Redis is, its own settings say (appendfsync), and --redis-wait`,
    )
  }
  if (config.role !== 'all') {
    refuse(
      `${name('role')} ${config.role}: a file store is of one process, so no other node could do the rest; use --role all, or give --store redis://…`,
    )
  }
  if (config.workers > 1) {
    refuse(
      `${name('workers')} ${config.workers}: a file store is of one process, so there can be no second worker on it; leave it out, or give --store redis://…`,
    )
  }
  if (config.bus !== undefined) {
    refuse(
      `${name('bus')}: a file store is of one process, so there are no other nodes; leave it out, or give --store redis://…`,
    )
  }
}

function checkMongo(config: ServerConfig, where: Where, name: (key: keyof ServerConfig) => string): void {
  const alone = 'MongoDB carries no notices, so more nodes than one need a bus: give --bus redis://…'
  if (config.bus === undefined && config.role !== 'all') refuse(`${name('role')} ${config.role}: ${alone}`)
  if (config.bus === undefined && config.workers > 1) refuse(`${name('workers')} ${config.workers}: ${alone}`)
  if (where.has('durability')) {
    refuse(`${name('durability')}: is for a file store; MongoDB answers when a majority has a change in its journal`)
  }
  if (config.payloadMax > MONGO_PAYLOAD_MAX) {
    refuse(
      `${name('payloadMax')} ${config.payloadMax} bytes is over what a document of MongoDB holds beside the rest, ${MONGO_PAYLOAD_MAX} bytes`,
    )
  }
}

/** What the settings of TLS need of each other; what is in the files is looked at when they are read. */
function checkTls(config: ServerConfig, where: Where, name: (key: keyof ServerConfig) => string): void {
  if (config.tlsCert === undefined) {
    const needs = (['tlsKey', 'tlsClientCa', ...TLS_LISTENERS] as const).find(
      (key) => where.has(key) && config[key] !== null,
    )
    if (needs !== undefined) refuse(`${name(needs)}: TLS needs a certificate; give --tls-cert and --tls-key`)
    return
  }
  if (config.tlsKey === undefined) {
    refuse(`${name('tlsCert')}: the private key of the certificate is missing; give --tls-key`)
  }
  const listeners: readonly string[] = listenersOf(config)
  if (!TLS_LISTENERS.some((key) => listeners.includes(key))) {
    refuse(
      `${name('tlsCert')}: ${TLS_LISTENERS.filter((key) => config[key] === null)
        .map((key) => name(key))
        .join(
          ', ',
        )} are off${config.role === 'all' ? '' : `, and role ${config.role} has no other one`}, so nothing would use it`,
    )
  }
  if (
    config.tlsClientCa !== undefined &&
    config.role !== 'api' &&
    config.mqttsPort === null &&
    config.wssPort === null
  ) {
    refuse(
      `${name('tlsClientCa')}: ${name('mqttsPort')} and ${name('wssPort')} are off, so no device could show a certificate`,
    )
  }
}
