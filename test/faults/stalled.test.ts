// Devices that do not read, read slowly, or do not acknowledge; and the others, who must not notice.

import t, { type Test } from 'tap'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { Latencies, metric, ownMegabytes } from '../support/road/observe.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const MIB = 1024 * 1024
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

if (LONG) t.setTimeout(600_000)

void t.test('stalled: closed after the deadline; a slow reader lives; the others do not notice', async (t) => {
  // One message that is larger than what the kernels of both sides buffer, so that the server's own buffer is full.
  const server = await TestServer.start(t, {
    flags: ['--payload-max', '16MiB', '--body-max', '32MiB', '--inbox-max-bytes', '256MiB', '--inbox-max', '50000'],
  })
  const ledger = new RoadLedger()
  const latencies = new Latencies()
  const others = await Promise.all(
    names('other', 10).map((id) => roadDevice(t, server, ledger, id, { onLatency: latencies.add })),
  )
  for (const device of others) await device.start().untilReady()
  const stalled = await roadDevice(t, server, ledger, 'stalled', { stallsFirst: true })
  const slow = await roadDevice(t, server, ledger, 'slow', { stallsFirst: true })
  const big = await producerFor(t, server, ledger, { devices: ['stalled', 'slow'], batch: 1, payloadBytes: 15 * MIB })
  await big.push(1)
  const behind = await producerFor(t, server, ledger, { devices: ['stalled', 'slow'], firstNumber: 2 })
  await behind.push(5)
  const live = await producerFor(t, server, ledger, {
    devices: others.map(({ device }) => device),
    batch: 5,
    lanes: 2,
    rate: 200,
  })
  live.start()
  await pause(500)
  latencies.take()
  await pause(LONG ? 12_000 : 4_000)
  const before = latencies.take()

  stalled.start()
  slow.start()
  await until('both to be subscribed', async () => (await metric(server, 'mqtt_subscribes_granted_total')) >= 12)
  const from = performance.now()
  const elapsed = stopwatch(t)
  let reads = 0
  // About 500 KB a second: far from all of it within the deadline. Much slower, and its kernel would ask for more less often
  // than that.
  const sip = setInterval(() => {
    reads++
    slow.readOnce()
  }, 125)
  t.teardown(() => clearInterval(sip))
  await until(
    'the stalled connection to be closed',
    async () => (await statusOf(server, 'stalled'))['online'] === false,
  )
  const took = performance.now() - from
  const during = latencies.take()
  t.ok(took > 9_500 && elapsed() < 14_000, `closed after ${Math.round(took)} ms`)
  t.equal(await metric(server, 'mqtt_closes_total', 'reason="slow_consumer"'), 1)
  await pause(3_000)
  t.match(await statusOf(server, 'slow'), { online: true }, `a slow reader lives, after ${reads} reads`)
  t.equal(slow.ends, 0)

  const said = (l: typeof before): string => `p50 ${l.p50.toFixed(1)}, p99 ${l.p99.toFixed(1)} ms of ${l.count}`
  t.comment(`the others before: ${said(before)}; during: ${said(during)}`)
  t.ok(during.count > before.count / 2, 'they went on receiving')
  t.ok(during.p50 < 2 * before.p50 + 10 && during.p99 < 2 * before.p99 + 200, 'as soon as before')

  clearInterval(sip)
  slow.resume()
  stalled.resume()
  await live.stop()
  kept(t, await untilArrived(ledger))
  t.equal(stalled.connections, 2)
  t.equal(slow.connections, 1)
  await drained(t, server, ['stalled', 'slow', ...others.map(({ device }) => device)])
})

void t.test('stalled: what the server holds for a device that does not read is bounded', async (t) => {
  const DEVICES = LONG ? 100 : 20
  const server = await TestServer.start(t)
  const ledger = new RoadLedger()
  const ids = names('stalled', DEVICES)
  await (await producerFor(t, server, ledger, { devices: ids, batch: 40, payloadBytes: 128 * 1024 })).push(80)
  const before = ownMegabytes(server)
  const sentBefore = await metric(server, 'mqtt_sent_bytes_total')
  const devices = await Promise.all(ids.map((id) => roadDevice(t, server, ledger, id, { stallsFirst: true })))
  for (const device of devices) device.start()
  await until('all to be subscribed', async () => (await metric(server, 'mqtt_subscribes_granted_total')) === DEVICES)
  const most = { megabytes: 0, sent: 0 }
  for (let look = 0; look < 15; look++) {
    await pause(100)
    most.megabytes = Math.max(most.megabytes, ownMegabytes(server) - before)
    most.sent = (await metric(server, 'mqtt_sent_bytes_total')) - sentBefore
  }
  const pending = DEVICES * 10
  t.comment(
    `${pending} MiB pending, ${(most.sent / MIB).toFixed(1)} MiB sent, ${most.megabytes.toFixed(1)} MiB more held`,
  )
  t.ok(most.sent < DEVICES * 1.01 * MIB, 'a window of 1 MiB each')
  t.ok(most.megabytes < DEVICES * 3, 'and not much more is held')
  for (const device of devices) device.resume()
  kept(t, await untilArrived(ledger))
  await drained(t, server, ids)
})

async function silent(t: Test): Promise<void> {
  const server = await TestServer.start(t)
  const ledger = new RoadLedger()
  const other = await (await roadDevice(t, server, ledger, 'other')).start().untilReady()
  const device = await roadDevice(t, server, ledger, 'silent', { ackDelayMs: null })
  await device.start().untilReady()
  const producer = await producerFor(t, server, ledger, { devices: ['silent', 'other'], batch: 20 })
  await producer.push(400)
  await until('the other device to have all', () => other.received === 400)
  await pause(1_000)
  t.equal(device.received, 64, 'its window, and no more')
  t.match(await statusOf(server, 'silent'), { online: true, pending: 400, cursor: 0 })
  if (LONG) {
    const from = performance.now()
    await until('its connection to be closed', () => device.ends === 1, 90_000)
    t.ok(performance.now() - from > 50_000, 'after a minute without a byte')
    await until('its next window', () => device.received === 128)
  }
  await device.stop()

  const back = await (await roadDevice(t, server, ledger, 'silent')).start().untilReady()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.match(verdict, { repeats: LONG ? 128 : 64, unmarked: 0 })
  t.equal(back.received, 400)
  await drained(t, server, ['silent', 'other'])
}

void t.test('stalled: a device that never acknowledges is sent its window, and all when it returns', silent)
