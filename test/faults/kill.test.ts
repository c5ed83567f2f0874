// The server is killed in the middle of pushes, again and again; producer and devices do what clients do: they come back.

import t from 'tap'
import { RoadLedger } from '../support/road/ledger.js'
import { drained, kept, mqttjsDevice, producerFor, roadDevice, untilArrived } from '../support/road/fleet.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const ROUNDS = LONG ? 20 : 5
const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

if (LONG) t.setTimeout(900_000)

void t.test('kill: SIGKILL under load, and every accepted message arrives, in order', async (t) => {
  const server = await TestServer.start(t, { flags: ['--inbox-max', '50000'] })
  const ledger = new RoadLedger()
  const prompt = await Promise.all(names('prompt', 20).map((id) => roadDevice(t, server, ledger, id)))
  const remembered = await Promise.all(
    names('kept', 6).map((id) => roadDevice(t, server, ledger, id, { clean: false })),
  )
  // These have messages in flight at any moment.
  const slow = await Promise.all(names('slow', 6).map((id) => roadDevice(t, server, ledger, id, { ackDelayMs: 120 })))
  // These get a message now and then: what they acknowledged is mostly older than what may come again.
  const quiet = await Promise.all(names('quiet', 10).map((id) => roadDevice(t, server, ledger, id)))
  const plain = [...prompt, ...remembered, ...slow, ...quiet]
  for (const device of plain) device.start()
  const libraries = await Promise.all([
    ...names('mqttjs', 3).map((id) => mqttjsDevice(t, server, ledger, id)),
    ...names('mqttjs-kept', 2).map((id) => mqttjsDevice(t, server, ledger, id, { clean: false })),
    ...names('mqttjs-ws', 3).map((id) => mqttjsDevice(t, server, ledger, id, { url: server.wsUrl })),
  ])
  const online = [...plain, ...libraries]
  const absent = names('absent', 4)
  const devices = [...online.map(({ device }) => device), ...absent]
  const busy = devices.filter((id) => !id.startsWith('quiet'))
  const producer = await producerFor(t, server, ledger, { devices: busy, lanes: 4, batch: 40, rate: 2_000 })
  const trickle = await producerFor(t, server, ledger, {
    devices: quiet.map(({ device }) => device),
    lanes: 1,
    batch: 1,
    rate: 20,
  })
  const allReady = (): Promise<void> =>
    until(
      'all devices to be connected',
      () => online.every(({ ready }) => ready),
      20_000,
      () =>
        `missing: ${online
          .filter(({ ready }) => !ready)
          .map(({ device }) => device)
          .join()}`,
    )

  await allReady()
  producer.start()
  trickle.start()
  for (let round = 1; round <= ROUNDS; round++) {
    const before = ledger.progress.arrived
    await until('deliveries to go on', () => ledger.progress.arrived > before + 300)
    await pause(700 + Math.random() * 500)
    // Right behind an answer: what it said to be stored must be. Else at any moment, also in the middle of a request.
    if (round % 2 === 1) await producer.nextAnswer()
    ledger.cut()
    t.equal((await server.kill('SIGKILL')).signal, 'SIGKILL')
    await server.restart()
    await allReady()
  }
  await Promise.all([producer.stop(), trickle.stop()])
  for (const id of absent) {
    const late = await roadDevice(t, server, ledger, id)
    await late.start().untilReady()
  }
  kept(t, await untilArrived(ledger))
  await drained(t, server, devices)
  t.ok(plain.every(({ connections }) => connections === ROUNDS + 1))
  t.ok(producer.failures.size > 0, 'requests were cut')
  t.comment(`pushed again after: ${JSON.stringify(Object.fromEntries(producer.failures))}`)
  t.comment(`${producer.duplicates} had been stored without an answer`)
})
