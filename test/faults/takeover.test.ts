// Two connections of one device: the newer one has it, and no message falls between them.

import mqttPacket from 'mqtt-packet'
import t from 'tap'
import { RawClient, connectPacket } from '../support/broker/raw-client.js'
import type { RoadDevice } from '../support/road/device.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const TAKEOVERS = LONG ? 100 : 15
const ROUNDS = LONG ? 500 : 50
const AT_ONCE = 10

if (LONG) t.setTimeout(600_000)

void t.test('takeover: the first connection is closed within 2 s, nothing lost or reordered under load', async (t) => {
  const server = await TestServer.start(t, { flags: ['--inbox-max', '50000', '--connect-rate-per-device', 'off'] })
  const ledger = new RoadLedger()
  const devices = ['prompt', 'slow', 'stalls', 'other']
  await (await roadDevice(t, server, ledger, 'other')).start().untilReady()
  const producer = await producerFor(t, server, ledger, {
    devices,
    batch: 10,
    rate: 1_000,
  })
  producer.start()

  /** One connection after the other, each while its predecessor has messages in flight; how long each of those lived on. */
  async function takeTurns(id: string, options: Parameters<typeof roadDevice>[4]): Promise<readonly number[]> {
    const livedOn: number[] = []
    let owner: RoadDevice | null = null
    for (let turn = 0; turn < TAKEOVERS; turn++) {
      const next = await roadDevice(t, server, ledger, id, { ...options, returns: false })
      const from = performance.now()
      const elapsed = stopwatch(t)
      // What the older one acknowledged when the server had closed it already may come again.
      ledger.cut(id)
      next.start()
      await until(`${id} ${turn} to be connected`, () => next.connections === 1)
      const older: RoadDevice | null = owner
      if (older !== null) {
        older.resume()
        await until(`${id} ${turn - 1} to be closed`, () => older.ends === 1)
        livedOn.push(Math.min(older.endedAt - from, elapsed()))
      }
      owner = next
      await pause(30 + Math.random() * 120)
    }
    owner?.resume()
    return livedOn
  }
  const lives = await Promise.all([
    takeTurns('prompt', {}),
    takeTurns('slow', { ackDelayMs: 30 }),
    takeTurns('stalls', { stallsFirst: true }),
  ])

  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, server, devices)
  const slowest = Math.max(...lives.flat())
  t.equal(lives.flat().length, 3 * (TAKEOVERS - 1))
  t.ok(slowest < 2_000, `the slowest was closed after ${Math.round(slowest)} ms`)
  t.equal(await metric(server, 'connections'), devices.length)
})

void t.test('takeover: of two simultaneous connections exactly one survives, and it receives', async (t) => {
  const server = await TestServer.start(t, { flags: ['--connect-rate-per-device', 'off'] })
  let both = 0

  async function round(device: string, token: string, n: number): Promise<void> {
    const clients = await Promise.all([RawClient.to(server.ports.mqtt), RawClient.to(server.ports.mqtt)])
    // Everything at once, so that neither waits for an answer before it goes on.
    const opening = [
      connectPacket(device, token, { clean: n % 2 === 0 }),
      { cmd: 'subscribe' as const, messageId: 1, subscriptions: [{ topic: `inbox/${device}`, qos: 1 as const }] },
    ].map((packet) => mqttPacket.generate(packet))
    for (const client of clients) client.send(...opening)
    const alive = (): RawClient[] => clients.filter((client) => !client.closed)
    const subscribed = (client: RawClient): boolean => client.packets.some(({ cmd }) => cmd === 'suback')
    if (n % 5 === 0) await server.rest('POST', `/v1/devices/${device}/messages`, { payload: `${n}`, dedupId: `${n}` })
    await until(
      `${device} ${n}: one survivor`,
      () => alive().length < 2 && alive().every(subscribed),
      5_000,
      () => `${alive().length} live`,
    )
    const [survivor] = alive()
    if (survivor === undefined) throw new Error(`${device} ${n}: none survived`)
    if (clients.every((client) => client.packets.some(({ cmd }) => cmd === 'connack'))) both++
    const { status } = await server.rest('POST', `/v1/devices/${device}/messages`, {
      payload: `${n}`,
      dedupId: `${n}`,
    })
    if (status !== 202 && status !== 200) throw new Error(`${device} ${n}: pushed, got ${status}`)
    await until(`${device} ${n}: the message`, () => survivor.texts.length > 0)
    if (survivor.texts.join() !== `${n}`) throw new Error(`${device} ${n}: it received ${survivor.texts.join()}`)
    if (survivor.closed) throw new Error(`${device} ${n}: the survivor was closed`)
    survivor.ack(...survivor.publishes)
    survivor.send({ cmd: 'disconnect' })
    await survivor.untilClosed()
  }

  const rounds = await Promise.all(
    Array.from({ length: AT_ONCE }, async (_, i) => {
      const device = `phone-${i}`
      const token = await server.token(device)
      for (let n = 1; n <= ROUNDS / AT_ONCE; n++) await round(device, token, n)
      return ROUNDS / AT_ONCE
    }),
  )
  t.equal(
    rounds.reduce((sum, n) => sum + n, 0),
    ROUNDS,
  )
  t.comment(`in ${both} rounds both were accepted, one after the other`)
  for (let i = 0; i < AT_ONCE; i++) {
    const device = `phone-${i}`
    await until(`${device} to be offline`, async () => (await statusOf(server, device))['online'] === false)
    t.match(await statusOf(server, device), { head: ROUNDS / AT_ONCE, cursor: ROUNDS / AT_ONCE, pending: 0 })
  }
  t.equal(await metric(server, 'connections'), 0)
})
