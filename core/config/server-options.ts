// Every setting of `postrider serve`. Flags, environment, file, help, validation and docs/configuration.md are made from
// this table and nothing else.
//
// Units of the values: `size` bytes, `duration` milliseconds, `seconds` seconds.

import { LOG_LEVELS, type LogLevel } from '../log.js'
import { canonicalOrigin, ORIGIN_RULE } from '../net/origins.js'
import { isProxyRange, TRUSTED_PROXIES_RULE } from '../net/trusted-proxies.js'
import { isRedisUrl, parseRedisUrl, REDIS_URL_RULE } from './redis-location.js'
import { isMongoUrl, MONGO_URL_RULE } from './mongo-location.js'
import { storePlace } from './store-place.js'
import { keySetLocation } from './key-set-location.js'
import { option, optional, type Values } from './option.js'
import { TRACE_OPTIONS } from './trace-options.js'
import {
  bytesPerSecondOrOff,
  choice,
  count,
  countOrOff,
  duration,
  list,
  portOrOff,
  rateOrOff,
  seconds,
  size,
  text,
  toggle,
} from './value-types.js'

const DAY = 86_400
const YEAR = 365 * DAY
const MIB = 1024 ** 2
const GIB = 1024 ** 3

const proxyRange = (raw: string): string | undefined => (isProxyRange(raw) ? raw : undefined)

export const SERVER_OPTIONS = {
  role: option<'all' | 'api' | 'broker'>({
    type: choice(['all', 'api', 'broker']),
    default: 'all',
    doc: 'What this process does: `api` takes pushes, `broker` serves devices, `all` does both. The listeners of the other role are off, whatever their settings say, so that nodes can share a file. With a file store, or a MongoDB store without a bus, only `all`: it is of one process',
  }),
  host: option<string>({
    type: text('ADDRESS', 'an IP address or a name of this machine'),
    default: '127.0.0.1',
    doc: 'The address that every listener, the admin port too, binds to; `0.0.0.0` for all IPv4, `::` for all addresses',
  }),
  mqttPort: option<number | null>({ type: portOrOff(), default: 1883, doc: 'MQTT over TCP' }),
  wsPort: option<number | null>({
    type: portOrOff(),
    default: 8083,
    doc: 'MQTT over WebSocket: path `/mqtt`, subprotocol `mqtt`',
  }),
  httpPort: option<number | null>({ type: portOrOff(), default: 8080, doc: 'The REST API' }),
  adminPort: option<number | null>({
    type: portOrOff(),
    default: 9090,
    doc: '`/metrics`, `/livez` and `/readyz`. Not for the public',
  }),
  tlsCert: optional<string>({
    type: text('FILE', 'the path of a PEM file'),
    doc: 'The server’s certificate, and behind it those between it and its authority. With it the TLS listeners are on. Read again on SIGHUP, and when it changes',
  }),
  tlsKey: optional<string>({
    type: text('FILE', 'the path of a PEM file'),
    doc: 'The private key of the certificate, not encrypted',
  }),
  tlsClientCa: optional<string>({
    type: text('FILE', 'the path of a PEM file'),
    doc: 'The authorities of devices: MQTT listeners with TLS ask for a client certificate, whose common name is the device id. It stands in for the token',
  }),
  mqttsPort: option<number | null>({ type: portOrOff(), default: 8883, doc: 'MQTT over TLS; on with `--tls-cert`' }),
  wssPort: option<number | null>({
    type: portOrOff(),
    default: 8084,
    doc: 'MQTT over WebSocket and TLS; on with `--tls-cert`',
  }),
  httpsPort: option<number | null>({
    type: portOrOff(),
    default: 8443,
    doc: 'The REST API over TLS; on with `--tls-cert`. Asks for no client certificate: whoever calls it has an API key',
  }),
  proxyProtocol: option<boolean>({
    type: toggle(),
    default: false,
    doc: 'Every connection to an MQTT listener (TCP, WebSocket, with TLS or without) must begin with a PROXY protocol header, version 1 or 2, which names the client’s address. Only behind a proxy that sends it: who else reaches the port can claim any address, unless `--trust-proxy` names the proxies',
  }),
  trustProxy: optional<readonly string[]>({
    type: list({ placeholder: 'ADDRESSES', expected: TRUSTED_PROXIES_RULE, parse: proxyRange }),
    repeatable: true,
    doc: 'The proxies that are believed about a client’s address: in `X-Forwarded-For` (REST and WebSocket), and with `--proxy-protocol` in its header. A comma list of addresses and ranges',
  }),
  corsOrigin: optional<readonly string[]>({
    type: list({ placeholder: 'ORIGINS', expected: ORIGIN_RULE, parse: (raw) => canonicalOrigin(raw) ?? undefined }),
    repeatable: true,
    doc: 'Web pages that may use this server from a browser, a comma list of origins: the REST API answers them with CORS headers, and WebSocket connections from other pages are refused. Not set: REST answers without CORS headers, WebSocket connections from all pages are taken; with `--auth none` only from pages of this machine',
  }),
  store: option<string>({
    type: {
      placeholder: 'file:FOLDER|redis:URL|mongodb:URL',
      expected: `file: and a folder, such as file:./data, or ${REDIS_URL_RULE}, or ${MONGO_URL_RULE}`,
      parse: storePlace,
      format: (place) => (isRedisUrl(place) || isMongoUrl(place) ? place : `file:${place}`),
    },
    default: './data',
    doc: 'Where everything is kept: a folder of this process alone, made when it is not there; a Redis 7 ([redis.md](redis.md)); or a MongoDB ([mongodb.md](mongodb.md)). Which to take: [stores.md](stores.md). A URL with a password is better given in the environment: flags can be seen by every user of the machine',
  }),
  bus: optional<string>({
    type: {
      placeholder: 'URL',
      expected: REDIS_URL_RULE,
      parse: (raw) => (parseRedisUrl(raw) === null ? undefined : raw),
      format: (url) => url,
    },
    doc: 'The Redis 7 over which nodes tell each other of new messages and of taken devices. Not set: the Redis of the store; with a file store, which is of one process, nothing. A MongoDB store without it is of one process, too',
  }),
  redisWait: option<number>({
    type: count({ min: 0, max: 100 }),
    default: 0,
    doc: 'With a Redis store: a change is answered once so many replicas have it too',
  }),
  redisNoAof: option<boolean>({
    type: toggle(),
    default: false,
    doc: 'With a Redis store: take a server without an append-only file. What it has accepted is gone when it ends',
  }),
  durability: option<'disk' | 'process'>({
    type: choice(['disk', 'process']),
    default: 'disk',
    doc: '`disk`: a message is accepted once it is on the disk, and survives a power cut. `process`: once the operating system has it; survives the end of the process, not of the machine',
  }),
  auth: option<'token' | 'none'>({
    type: choice(['token', 'none']),
    default: 'token',
    doc: 'How devices prove who they are. `none` is for development, and only on a loopback host; it also serves a page to try at `/dev/` of the HTTP port',
  }),
  tokenMaxTtl: option<number>({
    type: seconds({ min: 1, max: 10 * YEAR }),
    default: 30 * DAY,
    doc: 'Longest life of a device token; one that lives longer is refused',
  }),
  tokenJwks: optional<string>({
    type: keySetLocation(),
    doc: 'Keys of others who sign device tokens (RS256, ES256, EdDSA), besides the token secret: an https URL, or a file. Read again every 10 minutes (a file: every 10 seconds), and when a token names a key that is not known',
  }),
  tokenIssuer: optional<string>({
    type: text('TEXT'),
    doc: 'What `iss` must be in tokens that are verified with `--token-jwks`',
  }),
  tokenAudience: optional<string>({
    type: text('TEXT'),
    doc: 'What `aud` must be or hold in tokens that are verified with `--token-jwks`. Set it when the issuer signs tokens for others too',
  }),
  inboxMax: option<number>({
    type: count({ min: 1, max: 10_000_000 }),
    default: 1_000,
    doc: 'Most messages that may wait for one device',
  }),
  inboxMaxBytes: option<number>({
    type: size({ min: 1024, max: 64 * GIB }),
    default: 16 * MIB,
    doc: 'Most bytes that may wait for one device',
  }),
  overflow: option<'reject' | 'drop-oldest'>({
    type: choice(['reject', 'drop-oldest']),
    default: 'reject',
    doc: 'A push to a full inbox is refused (429 `inbox_full`), or takes the place of the oldest messages, which is told',
  }),
  retention: option<number>({
    type: seconds({ min: 1, max: 10 * YEAR }),
    default: 7 * DAY,
    doc: 'A message that waits longer is given up, with the reason `retention`',
  }),
  dedupWindow: option<number>({
    type: seconds({ min: 1, max: YEAR }),
    default: DAY,
    doc: 'How long a dedup id is remembered: a retry within it is never a second message',
  }),
  deviceIdle: option<number>({
    type: seconds({ min: 60, max: 100 * YEAR }),
    default: 90 * DAY,
    doc: 'A device that has an empty inbox and was not used for so long is forgotten; a session of ordinary pub/sub too',
  }),
  payloadMax: option<number>({
    type: size({ min: 1, max: 128 * MIB }),
    default: 256 * 1024,
    doc: 'Largest payload of one message',
  }),
  bodyMax: option<number>({
    type: size({ min: 1024, max: GIB }),
    default: 16 * MIB,
    doc: 'Largest body of one request',
  }),
  window: option<number>({
    type: count({ min: 1, max: 1_024 }),
    default: 64,
    doc: 'Messages that a device may have unacknowledged',
  }),
  windowMax: option<number>({
    type: count({ min: 1, max: 1_024 }),
    default: 1_024,
    doc: 'Largest window that a device may ask for',
  }),
  sweepInterval: option<number>({
    type: duration({ min: 50, max: 3_600_000 }),
    default: 10_000,
    doc: 'How often the connected devices are compared with the store, which finds what a lost notice did not tell',
  }),
  uplinkRetention: option<number>({
    type: seconds({ min: 1, max: 10 * YEAR }),
    default: 7 * DAY,
    doc: 'How long uplink (what devices send) is kept for `GET /v1/uplink`',
  }),
  uplinkMax: option<number>({
    type: size({ min: MIB, max: 1024 * GIB }),
    default: 4 * GIB,
    doc: 'Most bytes of uplink that are kept. What comes then is not acknowledged, and its connection closed, until older uplink has expired',
  }),
  uplinkMaxPerDevice: optional<number>({
    type: size({ min: 128 * 1024, max: 1024 * GIB }),
    doc: 'Most bytes of uplink that one device may store within `--uplink-retention`; half of them may come at once. Not set: a quarter of `--uplink-max`',
  }),
  eventsMax: option<number>({
    type: count({ min: 1_000, max: 100_000_000 }),
    default: 1_000_000,
    doc: 'Most events (of messages with a receipt, expired and dropped ones, devices that messages wait for) that are kept for webhooks, for two days. Of more the oldest are dropped, which is counted',
  }),
  webhookNetworks: optional<readonly string[]>({
    type: list({ placeholder: 'ADDRESSES', expected: TRUSTED_PROXIES_RULE, parse: proxyRange }),
    repeatable: true,
    doc: 'Addresses that webhooks may be sent to although they are not public: a comma list of addresses and ranges. Whoever has an API key with the scope `admin` can make this server post to them',
  }),
  webhookHttp: option<boolean>({
    type: toggle(),
    default: false,
    doc: 'Webhooks may have plain http URLs: whoever is on the way can read and change the events, though not sign others',
  }),
  sessionQueueMax: option<number>({
    type: count({ min: 1, max: 30_000 }),
    default: 1_000,
    doc: 'Most messages of ordinary pub/sub that may wait in one session; newer ones are dropped',
  }),
  sessionQueueMaxBytes: option<number>({
    type: size({ min: 1024, max: GIB }),
    default: 16 * MIB,
    doc: 'Most bytes of them',
  }),
  retainedMax: option<number>({
    type: count({ min: 0, max: 10_000_000 }),
    default: 100_000,
    doc: 'Most retained messages; one for a further topic is delivered, but not retained',
  }),
  retainedMaxBytes: option<number>({
    type: size({ min: 0, max: 16 * GIB }),
    default: 64 * MIB,
    doc: 'Most bytes of retained messages, which are kept in memory too',
  }),
  connectionsMax: option<number>({
    type: count({ min: 1, max: 10_000_000 }),
    default: 250_000,
    doc: 'Most devices connected at one time; fewer when the process may not open so many files',
  }),
  connectionsPerAddress: option<number>({
    type: countOrOff({ min: 1, max: 10_000_000 }),
    default: 0,
    doc: 'Most devices connected at one time from one address',
  }),
  connectTimeout: option<number>({
    type: duration({ min: 100, max: 600_000 }),
    default: 10_000,
    doc: 'How long a device may take to send its whole CONNECT, from the opened connection on',
  }),
  connectRate: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 0,
    doc: 'CONNECTs that are looked at; more are answered CONNACK 3',
  }),
  connectRatePerDevice: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 2,
    doc: 'CONNECTs of one device with good credentials, with a burst of ten seconds',
  }),
  connectRatePerAddress: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 0,
    doc: 'CONNECTs from one address, with a burst of ten seconds',
  }),
  publishRatePerDevice: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 100,
    doc: 'PUBLISH packets from one device, with a burst of two seconds; more wait unread',
  }),
  publishRatePerAddress: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 0,
    doc: 'PUBLISH packets from one address, with a burst of two seconds; more wait unread',
  }),
  packetRatePerDevice: option<number>({
    type: rateOrOff({ min: 1, max: 1_000_000 }),
    default: 50,
    doc: 'SUBSCRIBE, UNSUBSCRIBE and PINGREQ packets from one device, with a burst of two seconds; more wait unread',
  }),
  byteRatePerDevice: option<number>({
    type: bytesPerSecondOrOff({ min: 1024, max: GIB }),
    default: MIB,
    doc: 'Bytes from one device, with a burst of four seconds; more wait unread',
  }),
  subscriptionsMax: option<number>({
    type: count({ min: 1, max: 100_000 }),
    default: 100,
    doc: 'Most subscriptions of one device',
  }),
  topicMax: option<number>({
    type: size({ min: 256, max: 65_535 }),
    default: 1024,
    doc: 'Longest topic or filter, in bytes',
  }),
  topicLevelsMax: option<number>({
    type: count({ min: 3, max: 1_000 }),
    default: 32,
    doc: 'Most levels of a topic or filter',
  }),
  httpConnectionsMax: option<number>({
    type: count({ min: 1, max: 1_000_000 }),
    default: 4_096,
    doc: 'Most connections to the REST API at one time',
  }),
  requestRatePerAddress: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 0,
    doc: 'Requests to the REST API from one address, with a burst of two seconds; more are answered 429',
  }),
  workers: option<number>({
    type: count({ min: 1, max: 256 }),
    default: 1,
    doc: 'Processes that serve behind the same ports, each a node of its own; limits and rates are of each, but for `--drain-rate`. Not with a file store',
  }),
  drainDelay: option<number>({
    type: duration({ min: 0, max: 600_000 }),
    default: 0,
    doc: 'How long a node that was asked to stop serves on after `/readyz` says so. Behind a load balancer: as long as that needs to notice, such as 10 s',
  }),
  drainRate: option<number>({
    type: rateOrOff({ min: 1 / 60, max: 1_000_000 }),
    default: 1_000,
    doc: 'Devices that a stopping node lets go, idle ones first. In a cluster: no more than the other nodes can take, such as 250/s',
  }),
  drainDeadline: option<number>({
    type: duration({ min: 100, max: 3_600_000 }),
    default: 20_000,
    doc: 'How long a stop in good order may take, from SIGTERM or SIGINT on, with the delay. Some seconds of it (6, or half of it) are for the stop itself: devices that are connected by then are closed at once',
  }),
  metrics: option<'on' | 'off'>({
    type: choice(['on', 'off']),
    default: 'on',
    doc: '`/metrics` on the admin port, and the measuring of how long things take',
  }),
  ...TRACE_OPTIONS,
  logLevel: option<LogLevel>({
    type: choice(LOG_LEVELS),
    default: 'info',
    doc: 'The least that is logged (JSON, on stderr)',
  }),
} as const

export type ServerConfig = Values<typeof SERVER_OPTIONS>

/** The file itself: from a flag or the environment, of course not from the file. */
export const CONFIG_FILE_OPTION = {
  config: optional<string>({
    type: text('FILE', 'the path of a YAML file'),
    doc: 'A YAML file with settings: keys as the flags without their dashes. Flags and environment win over it',
  }),
} as const

/** Settings of the design that this version does not have: refused by name wherever they are given, never ignored. */
export const LATER_SETTINGS: Readonly<Record<string, string>> = {}
