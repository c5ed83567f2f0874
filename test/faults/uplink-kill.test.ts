// The server is killed right behind a PUBACK, again and again. A PUBACK says that the uplink is stored, so each acknowledged one
// is in GET /v1/uplink: once, unless the device had to send it again because the kill came before its PUBACK.

import t from 'tap'
import { UplinkDevice } from '../support/road/uplink-device.js'
import { UplinkReader } from '../support/road/uplink-reader.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const ROUNDS = LONG ? 50 : 5
if (LONG) t.setTimeout(900_000)

void t.test(
  'uplink kill: SIGKILL right behind a PUBACK, and every acknowledged uplink is stored, in order',
  async (t) => {
    const rates = ['--publish-rate-per-device', '--packet-rate-per-device', '--byte-rate-per-device']
    const server = await TestServer.start(t, { flags: rates.flatMap((flag) => [flag, 'off']) })
    const will = { topic: 'uplink/a/state', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    /** Set while the next PUBACK is to be the last thing that the server does. */
    let onNext: (() => void) | null = null
    const device = async (name: string, window: number, more: { tossEvery?: number; will?: typeof will } = {}) =>
      new UplinkDevice({
        device: name,
        token: await server.token(name),
        port: () => server.ports.mqtt,
        window,
        ...more,
        onAck: () => onNext?.(),
      })
    const devices = [
      await device('a', 1, { will }),
      await device('b', 4),
      await device('c', 64, { tossEvery: 7 }),
      await device('d', 400),
    ]
    for (const each of devices) each.start()
    const reader = new UplinkReader(server)
    const allReady = (): Promise<void> =>
      until('all devices to be connected', () => devices.every(({ ready }) => ready))

    for (let round = 1; round <= ROUNDS; round++) {
      await allReady()
      const before = devices.map(({ acked }) => acked.length)
      await until('all to go on', () => devices.every(({ acked }, i) => acked.length > (before[i] ?? 0)))
      await pause(Math.random() * 300)
      const killed = await new Promise<NodeJS.Signals | null>((resolve, reject) => {
        onNext = () => {
          onNext = null
          server.kill('SIGKILL').then(({ signal }) => resolve(signal), reject)
        }
      })
      t.equal(killed, 'SIGKILL')
      // By the server that was killed: the next one acknowledges more while it is read.
      const atTheKill = devices.map(({ device: name, acked }) => ({ name, acked: [...acked] }))
      await server.restart()
      await reader.readOn()
      for (const { name, acked } of atTheKill) {
        const stored = new Set(reader.numbers(name, 'numbers'))
        const lost = acked.filter((number) => !stored.has(number))
        t.strictSame(lost, [], `round ${round}: all ${acked.length} acknowledged ones of ${name} are stored`)
      }
    }
    await allReady()
    for (const each of devices) await each.finish()
    await reader.readOn()

    for (const { device: name, acked, repeated, outOfOrder, connections, sent } of devices) {
      const stored = reader.numbers(name, 'numbers')
      const counts = new Map<number, number>()
      for (const number of stored) counts.set(number, (counts.get(number) ?? 0) + 1)
      const all = Array.from({ length: sent }, (_, i) => i + 1)
      t.strictSame([...counts.keys()], all, `${name}: ${sent} uplinks, their first copies in order, none missing`)
      const twice = all.filter((number) => (counts.get(number) ?? 0) > 1)
      t.ok(
        twice.every((number) => repeated.has(number)),
        `${name}: only what was sent again (${repeated.size}) may be there again (${twice.length})`,
      )
      t.equal(acked.length, sent, 'and all were acknowledged')
      t.equal(outOfOrder, 0, 'in order')
      t.equal(connections, ROUNDS + 1)
    }
    const tossed = reader.numbers('c', 'tossed')
    t.strictSame(
      tossed,
      tossed.toSorted((a, b) => a - b),
      `QoS 0 (${tossed.length}) in order, and none twice`,
    )
    t.equal(new Set(tossed).size, tossed.length)
    const wills = reader.entries.filter((entry) => entry.will)
    t.ok(wills.length >= ROUNDS, `a will for each kill: ${wills.length} of ${ROUNDS}`)
    const again = await new UplinkReader(server).readOn()
    t.strictSame(
      again.entries.map(({ id }) => id),
      reader.entries.map(({ id }) => id),
      'reading on over the restarts gave what there is, once and in order',
    )
  },
)
