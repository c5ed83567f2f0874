import { assert, nat, property } from 'fast-check'
import t from 'tap'
import { nearest } from '../../core/config/nearest.js'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../core/config/units.js'

void t.test('sizes: units are binary, a bare number is bytes', async (t) => {
  t.equal(parseSize('16MiB'), 16 * 1024 * 1024)
  t.equal(parseSize('256KiB'), 262_144)
  t.equal(parseSize('1GiB'), 1024 ** 3)
  t.equal(parseSize('100B'), 100)
  t.equal(parseSize('100'), 100)
  t.equal(parseSize('0'), 0)
})

void t.test('sizes: what is not one is refused', async (t) => {
  for (const text of [
    '',
    '16MB',
    '16mib',
    '1.5MiB',
    '-1',
    '+1',
    ' 1',
    '1 MiB',
    'MiB',
    '1e3',
    '0x10',
    '99999999999GiB',
  ]) {
    t.equal(parseSize(text), null, `"${text}"`)
  }
})

void t.test('durations: always with a unit', async (t) => {
  t.equal(parseDuration('200ms'), 200)
  t.equal(parseDuration('10s'), 10_000)
  t.equal(parseDuration('5m'), 300_000)
  t.equal(parseDuration('24h'), 86_400_000)
  t.equal(parseDuration('30d'), 2_592_000_000)
  for (const text of ['', '10', '1.5s', '-1s', '10 s', 's', '1M', '1y', '1e3s'])
    t.equal(parseDuration(text), null, `"${text}"`)
})

void t.test('units: what is written reads back as the same', async (t) => {
  assert(
    property(nat(), (n) => parseSize(formatSize(n)) === n && parseDuration(formatDuration(n)) === n),
    { numRuns: 500 },
  )
  t.equal(formatSize(16 * 1024 * 1024), '16MiB')
  t.equal(formatDuration(30 * 86_400_000), '30d')
  t.equal(formatDuration(1500), '1500ms')
})

void t.test('nearest: finds slips, and stays silent when nothing is near', async (t) => {
  const flags = ['mqtt-port', 'http-port', 'host', 'window', 'window-max', 'log-level']
  t.equal(nearest('mqtt-prot', flags), 'mqtt-port')
  t.equal(nearest('mqttport', flags), 'mqtt-port')
  t.equal(nearest('hots', flags), 'host')
  t.equal(nearest('loglevel', flags), 'log-level')
  t.equal(nearest('windows', flags), 'window')
  t.equal(nearest('completely-else', flags), null)
})
