import tap from 'tap'
import { DEFAULT_BROKER_LIMITS, PACKETS_PER_TURN, SLOWEST_BYTES_PER_SECOND } from '../../broker/limits.js'
import { DEFAULT_PUBSUB_LIMITS } from '../../broker/pubsub/limits.js'
import { nodeLimits } from '../../cli/compose-limits.js'
import { loadServerConfig } from '../../core/config/load-server-config.js'
import { FRAME_BYTES, UNRECEIVED_MAX } from '../../broker/stream/stream-transport.js'
import { UPLINK_LANE_BYTES } from '../../broker/uplink/uplink-lane.js'
import { settingName } from '../../core/config/option.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { parseDuration, parseSize } from '../../core/config/units.js'
import { CLIENT_LINES, createLogger } from '../../core/log.js'
import { TOKEN_MAX_LENGTH } from '../../core/security/device-tokens.js'
import { KEY_SET_KEEP_MS, KEY_SET_TIMEOUT_MS, KEY_SET_TIMES } from '../../core/security/key-set-cache.js'
import { KEY_SET_MAX_BYTES, KEY_SET_MAX_KEYS, KID_MAX_LENGTH } from '../../core/security/key-set.js'
import { ISSUED_AHEAD_LEEWAY_MS } from '../../core/security/token-claims.js'
import { COURIER_DEFAULTS } from '../../courier/create-courier-host.js'
import { DEFAULT_API_LIMITS, FIELD_LIMITS, REQUEST_BURST_SECONDS } from '../../push-api/limits.js'
import { ACL_FILTER_MAX_BYTES, ACL_FILTERS_MAX } from '../../protocol/acl.js'
import { UPLINK_CHANNEL_MAX_BYTES } from '../../protocol/topics.js'
import { readRepositoryFile, sectionOf } from '../support/repository.js'

const page = readRepositoryFile('docs/limits.md')

/** The first number of a bound with its unit, as a setting is written: `64 KiB` → `64KiB`, `1,000 ranges` → `1000`. */
function numberIn(bound: string): string {
  if (bound.trim() === 'off') return 'off'
  const match = /([\d,]+)(?: ?((?:KiB|MiB|GiB|ms|s|d|h)\b))?(\/s|\/min)?/.exec(bound)
  return `${(match?.[1] ?? '').replaceAll(',', '')}${match?.[2] ?? ''}${match?.[3] ?? ''}`
}

/** `bound` of the row that begins with `what`. */
function boundOf(what: string): string {
  const row = page.split('\n').find((line) => line.startsWith(`| ${what} |`))
  return numberIn(row?.split('|')[2] ?? '')
}

await tap.test('limits: docs/limits.md gives the default of every setting that it names', async (t) => {
  const defaults = new Map(
    Object.entries(SERVER_OPTIONS).map(([key, { type, default: preset }]) => [
      `--${settingName(key)}`,
      { preset, parse: (text: string): unknown => type.parse(text) },
    ]),
  )
  let seen = 0
  for (const line of page.split('\n')) {
    const [, , bound = '', setting = ''] = line.split('|')
    const flag = /^ `(--[a-z-]+)` $/.exec(setting)?.[1]
    if (flag === undefined) continue
    const option = defaults.get(flag)
    t.equal(option?.parse(numberIn(bound)), option?.preset, flag)
    t.ok(option, `${flag} exists`)
    seen++
  }
  t.ok(seen >= 18, 'there are settings to look at')
})

await tap.test('limits: docs/limits.md gives the bounds that are not settings', async (t) => {
  const seconds = (what: string): number | null => parseDuration(boundOf(what))
  const bytes = (what: string): number | null => parseSize(boundOf(what))
  const count = (what: string): number => Number(boundOf(what))

  t.equal(count('messages in one request'), FIELD_LIMITS.batchMax)
  t.equal(count('dedup id'), FIELD_LIMITS.dedupIdMax)
  t.equal(count('content type'), FIELD_LIMITS.contentTypeMax)
  t.equal(count('attributes'), FIELD_LIMITS.attributesMax)
  t.equal(parseDuration(boundOf('ttl')), FIELD_LIMITS.ttlMax * 1000)
  t.equal(count('name of an API key'), FIELD_LIMITS.keyNameMax)

  t.equal(count('messages handed to the store and not answered'), DEFAULT_API_LIMITS.queueMax)
  t.equal(bytes('bytes of them'), DEFAULT_API_LIMITS.queueMaxBytes)
  t.equal(seconds('age of the oldest of them'), DEFAULT_API_LIMITS.queueMaxAgeMs)
  t.equal(bytes('request bodies being received, all connections together'), DEFAULT_API_LIMITS.receivingMaxBytes)
  t.equal(count('requests of one connection that wait for their answers'), DEFAULT_API_LIMITS.pipelineMax)
  t.equal(bytes('request line and headers'), DEFAULT_API_LIMITS.headerMaxBytes)
  t.equal(seconds('time for them to arrive'), DEFAULT_API_LIMITS.headerTimeoutMs)
  t.equal(seconds('time for a request to arrive whole'), DEFAULT_API_LIMITS.requestTimeoutMs)
  t.equal(seconds('no byte of an answer is read'), DEFAULT_API_LIMITS.stalledTimeoutMs)
  t.equal(seconds('idle connection'), DEFAULT_API_LIMITS.keepAliveTimeoutMs)
  t.match(page, new RegExp(`the burst is ${REQUEST_BURST_SECONDS} s`))

  t.equal(count('characters of a device token'), TOKEN_MAX_LENGTH)
  t.equal(count('filters in each list of its `acl`'), ACL_FILTERS_MAX)
  t.equal(bytes('bytes of one of them'), ACL_FILTER_MAX_BYTES)
  t.equal(count('characters of a `kid`'), KID_MAX_LENGTH)
  t.equal(seconds("`iat` ahead of the server's clock"), ISSUED_AHEAD_LEEWAY_MS)
  t.equal(bytes('bytes of a JWKS, unpacked'), KEY_SET_MAX_BYTES)
  t.equal(count('keys of a JWKS'), KEY_SET_MAX_KEYS)
  t.equal(seconds('time to read it'), KEY_SET_TIMEOUT_MS)
  t.equal(seconds('reads for unknown keys'), KEY_SET_TIMES.url.cooldownMs)
  t.equal(seconds('how long its last good keys are used'), KEY_SET_KEEP_MS)

  t.equal(bytes('bytes of a channel'), UPLINK_CHANNEL_MAX_BYTES)
  t.equal(seconds('time to store one'), DEFAULT_BROKER_LIMITS.uplinkTimeoutMs)
  t.equal(bytes('bytes of one connection on their way to the store'), UPLINK_LANE_BYTES)
  t.equal(bytes('bytes of all connections on their way to the store'), DEFAULT_BROKER_LIMITS.maxUplinkBytes)

  t.equal(count('stored sessions'), DEFAULT_PUBSUB_LIMITS.sessionsMax)
  t.equal(count('messages in flight to one client'), DEFAULT_PUBSUB_LIMITS.window)
  t.equal(count('QoS 2 messages of one client without their PUBREL'), DEFAULT_PUBSUB_LIMITS.receivedMax)
  const { windowBytes, bufferMax, stallMs } = DEFAULT_PUBSUB_LIMITS
  const { bufferLimit, fullBufferMs } = COURIER_DEFAULTS
  t.same(
    [windowBytes, bufferMax, stallMs],
    [COURIER_DEFAULTS.windowBytes, bufferLimit, fullBufferMs],
    'as for an inbox',
  )

  t.equal(bytes('bytes in flight to one device'), COURIER_DEFAULTS.windowBytes)
  t.equal(bytes('bytes buffered for one connection'), COURIER_DEFAULTS.bufferLimit)
  t.equal(seconds('full buffer from which no byte leaves'), COURIER_DEFAULTS.fullBufferMs)
  t.equal(seconds('no byte from a device with messages in flight'), COURIER_DEFAULTS.unackedMs)
  t.equal(seconds('no hello from a device in stream mode'), COURIER_DEFAULTS.helloMs)
  t.equal(bytes('a data frame with more than one message'), FRAME_BYTES)
  t.equal(count('frames that a device leaves without PUBACK'), UNRECEIVED_MAX)
  const broker = DEFAULT_BROKER_LIMITS
  t.equal(count('sockets that have not sent their whole CONNECT'), broker.maxStrangers)
  t.equal(bytes('bytes kept for those, all together'), broker.maxStrangerBytes)
  t.equal(count('sockets that we closed and whose other side did not'), broker.maxLingering)
  t.equal(seconds('time for a packet to arrive whole once it has begun'), broker.packetTimeoutMs)
  t.equal(SLOWEST_BYTES_PER_SECOND, 4 * 1024)
  t.equal(bytes('CONNECT, SUBSCRIBE or UNSUBSCRIBE packet'), broker.maxControlBytes)
  t.equal(count('packets of one connection, one after another'), PACKETS_PER_TURN)
  t.equal(count('filters of one SUBSCRIBE or UNSUBSCRIBE'), broker.maxFilters)
  t.equal(bytes('answers that a device does not read'), broker.maxUnsentBytes)
  t.equal(count('lines of levels info and warn that clients cause'), CLIENT_LINES.perSecond)
  t.match(page, new RegExp(`with a burst of ${CLIENT_LINES.burst.toLocaleString('en')} \\|`))
})

await tap.test('limits: the defaults of the settings are those of the parts', async (t) => {
  const { config } = loadServerConfig([], {})
  const { broker, api, pubsub } = nodeLimits(config, new Map(), createLogger({ level: 'silent' }), null)
  for (const [name, value] of Object.entries(pubsub)) t.same(value, Reflect.get(DEFAULT_PUBSUB_LIMITS, name), name)
  for (const [name, value] of Object.entries(api)) t.same(value, Reflect.get(DEFAULT_API_LIMITS, name), name)
  for (const [name, value] of Object.entries(broker)) t.same(value, Reflect.get(DEFAULT_BROKER_LIMITS, name), name)
})

await tap.test('limits: docs/limits.md gives the bursts', async (t) => {
  for (const line of sectionOf(page, 'Rates').split('\n')) {
    const [, , , setting = '', burst = ''] = line.split('|')
    const flag = /^ `--([a-z-]+)` $/.exec(setting)?.[1]
    if (flag === undefined) continue
    const { broker } = nodeLimits(
      loadServerConfig([`--${flag}`, flag.startsWith('byte') ? '1KiB/s' : '60/s'], {}).config,
      new Map(),
      createLogger({ level: 'silent' }),
      null,
    )
    const rates = Object.values(broker).filter((value) => typeof value === 'object')
    const set = rates.find(({ perSecond }) => perSecond === 60 || perSecond === 1024)
    t.equal(set?.burst, (set?.perSecond ?? 0) * (Number(parseDuration(numberIn(burst))) / 1000), flag)
  }
})

await tap.test('limits: the sections that the other pages point to are there', async (t) => {
  for (const title of ['Messages and inboxes', 'Connections', 'Delivery'])
    t.ok(sectionOf(page, title).length > 0, title)
})
