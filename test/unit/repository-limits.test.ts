import tap from 'tap'
import { DEFAULT_BROKER_LIMITS } from '../../broker/limits.js'
import { settingName } from '../../core/config/option.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { parseDuration, parseSize } from '../../core/config/units.js'
import { COURIER_DEFAULTS } from '../../courier/create-courier-host.js'
import { DEFAULT_API_LIMITS, FIELD_LIMITS } from '../../push-api/limits.js'
import { readRepositoryFile, sectionOf } from '../support/repository.js'

const page = readRepositoryFile('docs/limits.md')

/** The first number of a bound with its unit, as a setting is written: `64 KiB` → `64KiB`, `1,000 ranges` → `1000`. */
function numberIn(bound: string): string {
  const match = /([\d,]+)(?: ?(KiB|MiB|ms|s|d|h)\b)?/.exec(bound)
  return `${(match?.[1] ?? '').replaceAll(',', '')}${match?.[2] ?? ''}`
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
  t.ok(seen >= 7, 'there are settings to look at')
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
  t.equal(seconds('time for a request to arrive whole'), DEFAULT_API_LIMITS.requestTimeoutMs)

  t.equal(bytes('bytes in flight to one device'), COURIER_DEFAULTS.windowBytes)
  t.equal(bytes('bytes buffered for one connection'), COURIER_DEFAULTS.bufferLimit)
  t.equal(seconds('full buffer from which no byte leaves'), COURIER_DEFAULTS.fullBufferMs)
  t.equal(seconds('no byte from a device with messages in flight'), COURIER_DEFAULTS.unackedMs)
  t.equal(seconds('time to send the whole CONNECT'), DEFAULT_BROKER_LIMITS.connectTimeoutMs)
  t.equal(bytes('CONNECT, SUBSCRIBE or UNSUBSCRIBE packet'), DEFAULT_BROKER_LIMITS.maxControlBytes)
  t.equal(count('connections of a node'), DEFAULT_BROKER_LIMITS.maxConnections)
})

await tap.test('limits: the sections that the other pages point to are there', async (t) => {
  for (const title of ['Messages and inboxes', 'Connections']) t.ok(sectionOf(page, title).length > 0, title)
})
