// One device that sends uplink without end, and others that want to be stored too.

import t from 'tap'
import { RawClient } from '../support/broker/raw-client.js'
import { until } from '../support/broker/node.js'
import { metric } from '../support/road/observe.js'
import { TestServer } from '../support/server.js'

void t.test('uplink: one device cannot fill what is kept for all', async (t) => {
  const limits = ['--uplink-max', '1MiB', '--payload-max', '32KiB', '--connect-rate-per-device', 'off']
  const server = await TestServer.start(t, { flags: limits })
  const token = await server.token('greedy')
  const payload = 'x'.repeat(10_000)
  let acked = 0
  // It comes again and again with the same, as a device does that is refused.
  for (let round = 0; round < 5; round++) {
    const client = await RawClient.as(server.ports.mqtt, 'greedy', token)
    for (let messageId = 1; messageId <= 60; messageId++) {
      client.send({ cmd: 'publish', topic: 'uplink/greedy/c', payload, qos: 1, messageId, dup: false, retain: false })
    }
    await client.untilClosed()
    acked += client.packets.filter(({ cmd }) => cmd === 'puback').length
  }
  t.equal(acked, 13, 'an eighth of it, 128 KiB, at once')
  t.ok((await metric(server, 'uplink_refused_total', 'reason="device_full"')) >= 5)
  t.equal(await metric(server, 'uplink_refused_total', 'reason="full"'), 0)
  t.ok((await metric(server, 'uplink_kept_bytes')) < 256 * 1024)
  t.equal(await metric(server, 'mqtt_closes_total', 'reason="uplink_refused"'), 5)

  const stored: unknown[] = []
  for (const device of ['a', 'b', 'c']) {
    const client = await RawClient.as(server.ports.mqtt, device, await server.token(device))
    for (let messageId = 1; messageId <= 10; messageId++) {
      const topic = `uplink/${device}/c`
      client.send({ cmd: 'publish', topic, payload, qos: 1, messageId, dup: false, retain: false })
    }
    await client.next('puback', 10)
    await client.end()
    stored.push(...Array<string>(10).fill(device))
  }
  const { body } = await server.rest('GET', '/v1/uplink?limit=1000')
  const all: unknown = typeof body === 'object' && body !== null && 'uplink' in body ? body.uplink : []
  t.match(
    Array.isArray(all) ? all.map(({ device }: { device: unknown }) => device) : [],
    [...Array<string>(13).fill('greedy'), ...stored],
    'what was acknowledged is there, in order',
  )
  // Another connection, and its inbox, are as ever.
  const greedy = await RawClient.as(server.ports.mqtt, 'greedy', token)
  await greedy.subscribe('inbox/greedy')
  await server.rest('POST', '/v1/devices/greedy/messages', { payload: 'still yours' })
  await until('the message', () => greedy.texts.includes('still yours'))
  await greedy.end()
})
