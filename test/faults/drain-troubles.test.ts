// A server that is asked to stop while something is in its way: it ends in time, with exit code 0.

import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { SAME_WISH_MS } from '../../cli/stop-signals.js'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { kept, producerFor, roadDevice, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const skip = { skip: noRedis }

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

/** SIGTERM, and how the process ended and when. */
async function stopped(t: Test, server: TestServer, withinMs: number): Promise<number> {
  const elapsed = stopwatch(t)
  t.same(await server.stop(), { code: 0, signal: null }, 'exit code 0')
  const took = elapsed()
  t.ok(took < withinMs, `${Math.round(took)} ms of ${withinMs}`)
  return took
}

t.test('drain: a device that reads nothing keeps nobody', async (t) => {
  const server = await TestServer.start(t, { flags: ['--drain-deadline', '10s', '--inbox-max', '50000'] })
  const ledger = new RoadLedger()
  const stalled = await roadDevice(t, server, ledger, 'stalled', { stallsFirst: true })
  stalled.start()
  const prompt = await (await roadDevice(t, server, ledger, 'prompt')).start().untilReady()
  await until('the stalled one to be there', () => stalled.connections === 1)
  const producer = await producerFor(t, server, ledger, {
    devices: ['stalled', 'prompt'],
    batch: 20,
    payloadBytes: 20_000,
  })
  producer.start()
  await until('its window to be full', async () => (await metric(server, 'window_waits_total')) > 0)
  await until('the other one to get its messages', () => prompt.received > 200)
  void producer.stop()
  await stopped(t, server, 10_000)
})

t.test('drain: while Redis does not answer, and when it is gone', skip, async (t) => {
  for (const trouble of ['SIGSTOP', 'SIGKILL'] as const) {
    const { redis, node } = await startClusterOn(t)
    const server = await node('--drain-deadline', '12s')
    const ledger = new RoadLedger()
    const devices = names('phone', 20)
    for (const device of devices)
      await (await roadDevice(t, server, ledger, device, { returns: false })).start().untilReady()
    const producer = await producerFor(t, server, ledger, { devices, rate: 400, batch: 20 })
    producer.start()
    await until('deliveries', () => ledger.progress.arrived > 100)
    if (trouble === 'SIGSTOP') redis.signal('SIGSTOP')
    else await redis.kill('SIGKILL')
    const took = await stopped(t, server, 12_000)
    t.comment(`${trouble} of Redis: ended after ${Math.round(took)} ms`)
    producer.abandon()
    if (trouble === 'SIGSTOP') redis.signal('SIGCONT')
  }
})

t.test('drain: what is left near the deadline goes at once, stored and released', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const other = await node()
  const flags = ['--drain-rate', '1/s', '--drain-deadline', '3s']
  const server = await node(...flags)
  const ledger = new RoadLedger()
  const devices = await Promise.all(
    names('phone', 30).map(async (id) =>
      (await roadDevice(t, server, ledger, id, { returns: false })).start().untilReady(),
    ),
  )
  const ids = devices.map(({ device }) => device)
  const producer = await producerFor(t, other, ledger, { devices: ids, rate: 300, batch: 10 })
  producer.start()
  await until('deliveries', () => ledger.progress.arrived > 100)
  await stopped(t, server, 3_000)
  t.ok(devices.every(({ ends }) => ends === 1))
  await producer.stop()
  for (const id of ids) {
    const { body } = await other.rest('GET', `/v1/devices/${id}`)
    if (typeof body === 'object' && body !== null && 'online' in body) t.equal(body.online, false, `${id} is released`)
  }
  // Here they come again: what was acknowledged before the end does not.
  await Promise.all(ids.map(async (id) => (await roadDevice(t, other, ledger, id)).start().untilReady()))
  // Nothing is noted as a cut: also in a hurry there is a moment for what is in flight.
  kept(t, await untilArrived(ledger))
})

t.test('drain: a second signal ends the delay, and the exit code is 0 all the same', async (t) => {
  const server = await TestServer.start(t, { flags: ['--drain-delay', '60s', '--drain-deadline', '90s'] })
  const device = await roadDevice(t, server, new RoadLedger(), 'phone-1', { returns: false })
  await device.start().untilReady()
  server.child.signal('SIGTERM')
  await until('it to be announced', async () => (await metric(server, 'drain_state')) === 1)
  await pause(SAME_WISH_MS + 100) // what comes sooner is the same wish
  t.equal(device.ends, 0, 'it serves on')
  t.equal((await server.rest('POST', '/v1/devices/phone-1/messages', { payload: '1 0 ' })).status, 202)
  await stopped(t, server, 20_000)
  t.equal(device.ends, 1)
})

/** A request that is sent in two pieces. */
class HalfRequest {
  readonly #socket: Socket
  #text = ''
  readonly closed: Promise<void>

  constructor(server: TestServer, key: string, body: string, path: string) {
    this.#socket = connect({ host: '127.0.0.1', port: server.ports.http })
    this.closed = new Promise((resolve) => this.#socket.once('close', () => resolve()))
    this.#socket.on('data', (data) => (this.#text += data.toString())).on('error', () => undefined)
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    )
  }

  get answer(): string {
    return this.#text
  }

  finish(body: string): void {
    this.#socket.write(body.slice(5))
  }
}

t.test('drain: an API node answers what is under way, as the last of its connection', async (t) => {
  const server = await TestServer.start(t, { flags: ['--drain-delay', '400ms'] })
  const key = await server.apiKey()
  const body = JSON.stringify({ payload: 'hello' })
  const half = new HalfRequest(server, key, body, '/v1/devices/phone-1/messages')
  await until('its connection', async () => (await metric(server, 'api_connections')) > 0)
  const before = await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'before' })
  t.equal(before.headers.get('connection'), 'keep-alive')
  const exited = server.stop()
  await until('it to be announced', async () => (await metric(server, 'drain_state')) === 1)
  const during = await server.rest('POST', '/v1/devices/phone-1/messages', { payload: 'during' })
  t.equal(during.status, 202, 'it serves on')
  t.equal(during.headers.get('connection'), 'close')
  await until('it to stop accepting', async () => (await metric(server, 'drain_state')) === 2)
  await t.rejects(server.rest('GET', '/v1/devices/phone-1'), 'no new connections')
  half.finish(body)
  await half.closed
  t.match(half.answer, /^HTTP\/1\.1 202 /)
  t.match(half.answer, /\r\nconnection: close\r\n/i)
  t.same(await exited, { code: 0, signal: null })
  await server.restart()
  t.match((await server.rest('GET', '/v1/devices/phone-1')).body, { head: 3, pending: 3 }, 'all three are stored')
})

t.test('drain: an API node under load loses nothing that it accepted', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const nodes = [await node('--role', 'api'), await node('--role', 'api')] as const
  const broker = await node('--role', 'broker', '--inbox-max', '50000')
  const ledger = new RoadLedger()
  const devices = await Promise.all(
    names('phone', 20).map(async (id) => (await roadDevice(t, broker, ledger, id)).start().untilReady()),
  )
  const ids = devices.map(({ device }) => device)
  const made = await producerFor(t, nodes[0], ledger, { devices: ids, lanes: 4, batch: 10, rate: 1_000 })
  made.start()
  await until('deliveries', () => ledger.progress.arrived > 300)
  const from = performance.now()
  t.same(await nodes[0].stop(), { code: 0, signal: null })
  t.comment(`ended after ${Math.round(performance.now() - from)} ms; ${JSON.stringify([...made.failures])}`)
  await nodes[0].restart()
  await made.stop()
  kept(t, await untilArrived(ledger))
})
