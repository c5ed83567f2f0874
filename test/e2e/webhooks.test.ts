// Webhooks of a server with an embedded store, as a process of its own.

import t from 'tap'
import { until } from '../support/road/wait.js'
import { metric } from '../support/road/observe.js'
import { TestServer } from '../support/server.js'
import { connectDevice, makeWebhook, runScenario, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

void t.test('webhooks: down, slow, killed, failing: every event arrives, per device in order', async (t) => {
  const server = await TestServer.start(t, { flags: WEBHOOK_FLAGS })
  await runScenario(t, {
    api: server,
    broker: server,
    async killSender() {
      await server.kill('SIGKILL')
      await server.restart()
    },
  })
  t.ok((await metric(server, 'webhook_sent_total')) > 0)
  t.notMatch(server.child.stderr, 'whsec_', 'no secret is in the log')
})

void t.test('webhooks: a device that leaves messages behind, and one whose node was killed', async (t) => {
  const server = await TestServer.start(t, { flags: WEBHOOK_FLAGS })
  const receiver = await makeWebhook(t, server)
  const client = await connectDevice(t, server, 'phone')
  client.handleMessage = () => undefined // it acknowledges nothing
  await server.rest('POST', '/v1/devices/phone/messages', { payload: 'x' })
  await until('the message to be sent', async () => (await metric(server, 'messages_sent_total')) === 1)
  t.strictSame(receiver.events, [])
  await client.endAsync(true)
  await receiver.untilTaken('device.offline_with_pending', 1)
  t.match(receiver.events[0], { data: { device: 'phone', pending: 1, seq: 1 } })

  const third = await connectDevice(t, server, 'third')
  third.handleMessage = () => undefined
  third.options.reconnectPeriod = 0
  await server.rest('POST', '/v1/devices/third/messages', { payload: 'x' })
  await until('that, too', async () => (await metric(server, 'messages_sent_total')) === 2)
  await server.kill('SIGKILL')
  await server.restart()
  await receiver.untilTaken('device.offline_with_pending', 2)
  t.match(receiver.events.at(-1), { data: { device: 'third', pending: 1, seq: 1 } })
})
