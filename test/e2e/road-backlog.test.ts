// What waits for a device: much of it, some of it out of time, some of it taken back.

import t, { type Test } from 'tap'
import { RawClient } from '../support/broker/raw-client.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { seqOf } from '../support/road/payload.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const BACKLOG = LONG ? 100_000 : 5_000
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

if (LONG) t.setTimeout(600_000)

/** Pushes texts to the device in one request; all must be accepted. */
async function push(server: TestServer, device: string, payloads: readonly string[], ttl?: number): Promise<void> {
  const messages = payloads.map((payload) => (ttl === undefined ? { device, payload } : { device, payload, ttl }))
  const { status, body } = await server.rest('POST', '/v1/messages', { messages })
  if (status !== 200 || JSON.stringify(body).includes('"error"')) throw new Error(`not accepted: ${status}`)
}

async function stateOf(server: TestServer, device: string, seq: number): Promise<unknown> {
  const { body } = await server.rest('GET', `/v1/devices/${device}/messages/${seq}`)
  return typeof body === 'object' && body !== null && 'state' in body ? body.state : body
}

const seqsOf = (client: RawClient): number[] => client.publishes.map(({ topic }) => seqOf(topic) ?? 0)

void t.test('backlog: in order, and before what is pushed meanwhile', async (t) => {
  const server = await TestServer.start(t, { flags: ['--inbox-max', '200000', '--inbox-max-bytes', '256MiB'] })
  const ledger = new RoadLedger()
  const producer = await producerFor(t, server, ledger, {
    devices: ['phone'],
    lanes: 1,
    batch: 500,
  })
  await producer.push(BACKLOG)
  t.match(await statusOf(server, 'phone'), { head: BACKLOG, pending: BACKLOG, online: false })
  const live = await producerFor(t, server, ledger, {
    devices: ['phone'],
    lanes: 1,
    batch: 5,
    rate: 500,
    firstNumber: BACKLOG + 1,
  })
  live.start()
  await until('some to be pushed meanwhile', () => live.accepted >= 50)
  const device = await roadDevice(t, server, ledger, 'phone')
  const from = performance.now()
  device.start()
  await until('the backlog to be received', () => device.received >= BACKLOG, 120_000)
  const took = performance.now() - from
  t.comment(`${BACKLOG} in ${Math.round(took)} ms, ${live.accepted} pushed meanwhile`)
  await until('more to be pushed live', () => live.accepted >= 500)
  await live.stop()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.match(verdict, { delivered: BACKLOG + live.accepted, repeats: 0 })
  t.equal(device.connections, 1)
  await drained(t, server, ['phone'])
})

void t.test('backlog: messages whose time is over are left out, and say so', async (t) => {
  const server = await TestServer.start(t)
  await push(server, 'phone', range(1, 100).map(String), 1)
  await push(server, 'phone', range(101, 200).map(String))
  await push(server, 'phone', range(201, 300).map(String), 60)
  await until('the first to expire', async () => (await stateOf(server, 'phone', 100)) === 'expired')
  t.match(await statusOf(server, 'phone'), { head: 300, pending: 200 })
  const client = await RawClient.as(server.ports.mqtt, 'phone', await server.token('phone'))
  await client.subscribe('inbox/phone/+')

  // Nothing is acknowledged: the window is full, and these expire behind it.
  await until('a window', () => client.publishes.length === 64)
  await push(server, 'phone', range(301, 350).map(String), 1)
  await push(server, 'phone', ['351'])
  await until('the later ones to expire', async () => (await stateOf(server, 'phone', 350)) === 'expired')
  let acked = 0
  await until('the rest', () => {
    client.ack(...client.publishes.slice(acked))
    acked = client.publishes.length
    return seqsOf(client).at(-1) === 351
  })
  t.same(seqsOf(client), [...range(101, 300), 351])
  for (const [seq, state] of [
    [1, 'expired'],
    [101, 'handled'],
    [300, 'handled'],
    [301, 'expired'],
    [351, 'handled'],
  ] as const) {
    await until(`${seq} to be ${state}`, async () => (await stateOf(server, 'phone', seq)) === state)
  }
  t.match(await statusOf(server, 'phone'), { head: 351, cursor: 351, pending: 0 })
})

void t.test('backlog: expiring while a slow device works on it, each message is received or expired', async (t) => {
  const server = await TestServer.start(t, { flags: ['--window', '8', '--inbox-max', '5000'] })
  const count = LONG ? 2_000 : 400
  // Some have one second, some four, and every tenth has no end.
  for (let from = 1; from <= count; from += 100) {
    const messages = range(from, from + 99).map((n) => {
      const message = { device: 'phone', payload: String(n) }
      return n % 10 === 0 ? message : { ...message, ttl: n % 2 === 0 ? 1 : 4 }
    })
    await server.rest('POST', '/v1/messages', { messages })
  }
  const client = await RawClient.as(server.ports.mqtt, 'phone', await server.token('phone'))
  await client.subscribe('inbox/phone/+')
  let acked = 0
  await until(
    'the last one',
    async () => {
      await pause(40)
      client.ack(...client.publishes.slice(acked, acked + 4))
      acked = Math.min(acked + 4, client.publishes.length)
      return acked === client.publishes.length && (await statusOf(server, 'phone'))['pending'] === 0
    },
    60_000,
  )
  const received = seqsOf(client)
  t.same(
    received,
    received.toSorted((a, b) => a - b),
    'in order',
  )
  t.equal(new Set(received).size, received.length, 'each once')
  const expired: number[] = []
  for (let seq = 1; seq <= count; seq++) {
    const state = await stateOf(server, 'phone', seq)
    if (state === 'expired') expired.push(seq)
    else if (state !== 'handled') t.fail(`${seq} is ${JSON.stringify(state)}`)
  }
  t.same(
    [...new Set([...received, ...expired])].toSorted((a, b) => a - b),
    range(1, count),
    'each of them received or expired',
  )
  t.ok(expired.length > 0 && received.length > count / 10, `${received.length} received, ${expired.length} expired`)
  t.same(
    range(1, count / 10).filter((n) => !received.includes(n * 10)),
    [],
    'those without an end were all received',
  )
})

async function cancels(t: Test): Promise<void> {
  const server = await TestServer.start(t)
  await push(server, 'phone', range(1, 200).map(String))
  const client = await RawClient.as(server.ports.mqtt, 'phone', await server.token('phone'))
  await client.subscribe('inbox/phone/+')
  await until('a window', () => client.publishes.length === 64)
  const cancel = (seq: number): ReturnType<TestServer['rest']> =>
    server.rest('DELETE', `/v1/devices/phone/messages/${seq}`)

  for (const seq of range(100, 120)) t.match(await cancel(seq), { status: 200, body: { state: 'cancelled' } })
  await until('what was on the wire to be known', async () => (await stateOf(server, 'phone', 64)) === 'sent')
  t.match(await cancel(10), { status: 200, body: { state: 'cancelled', maybeDelivered: true } })
  t.match(await cancel(200), { status: 200, body: { state: 'cancelled' } }, 'the head itself')
  let acked = 0
  await until('the rest', () => {
    client.ack(...client.publishes.slice(acked))
    acked = client.publishes.length
    return acked === 200 - 22
  })
  t.same(seqsOf(client), [...range(1, 99), ...range(121, 199)])
  await until('all to be stored', async () => (await statusOf(server, 'phone'))['pending'] === 0)
  t.equal(await stateOf(server, 'phone', 100), 'cancelled')
  t.equal(await stateOf(server, 'phone', 200), 'cancelled')
  t.equal(await stateOf(server, 'phone', 10), 'handled', 'it was acknowledged after all')
  t.match(await cancel(150), { status: 409, body: { code: 'already_handled' } })
  await push(server, 'phone', ['201'])
  await until('one more', () => seqsOf(client).at(-1) === 201)
  client.ack(...client.publishes.slice(acked))
  await client.end()

  await push(server, 'phone', range(202, 205).map(String))
  await until('the device to be offline', async () => (await statusOf(server, 'phone'))['online'] === false)
  t.match(await cancel(203), { status: 200, body: { state: 'cancelled', maybeDelivered: false } }, 'never on a wire')
  const back = await RawClient.as(server.ports.mqtt, 'phone', await server.token('phone'))
  await back.subscribe('inbox/phone/+')
  await until('the rest', () => seqsOf(back).at(-1) === 205)
  t.same(seqsOf(back), [202, 204, 205])
}

void t.test('backlog: cancelled messages are not sent, and their neighbours are', cancels)
