// Clients that make the server write to its log.

import t from 'tap'
import { RawClient } from '../support/broker/raw-client.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

void t.test('log: clients cannot make it grow as fast as they like', async (t) => {
  const server = await TestServer.start(t)
  const from = performance.now()
  const errors = 4_000
  const lane = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const client = await RawClient.to(server.ports.mqtt)
      client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
      await until('its end', () => client.closed)
    }
  }
  await Promise.all(Array.from({ length: 100 }, () => lane(errors / 100)))
  const seconds = (performance.now() - from) / 1_000
  t.equal(await metric(server, 'mqtt_protocol_errors_total', 'error="not_connect"'), errors)
  const lines = server.child.stderr.split('\n').filter((line) => line.includes('protocol violated'))
  t.ok(lines.length <= 1_000 + 100 * (seconds + 1), `${lines.length} lines in ${seconds.toFixed(1)} s`)
  const leftOut = await metric(server, 'log_lines_left_out_total')
  t.equal(lines.length + leftOut, errors, 'the others are counted')
  await until('the next line', async () => {
    const client = await RawClient.to(server.ports.mqtt)
    client.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await until('its end', () => client.closed)
    return server.child.stderr.includes('"leftOut":')
  })
})
