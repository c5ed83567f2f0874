// Random bytes and packets on the MQTT ports, before and after CONNECT.

import t from 'tap'
import { patience } from '../support/fuzz/campaign.js'
import { mqttCase, tcpLine, webSocketLine } from '../support/fuzz/mqtt-case.js'
import { Subject } from '../support/fuzz/subject.js'

t.setTimeout(2 * patience())

/** A token for each device, made once: cases repeat more quickly so, and their bytes differ less. */
function tokens(sign: (device: string) => Promise<string>): (device: string) => Promise<string> {
  const made = new Map<string, Promise<string>>()
  return (device) => {
    const token = made.get(device) ?? sign(device)
    made.set(device, token)
    return token
  }
}

void t.test('fuzz: MQTT over TCP, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const token = tokens((device) => server.token(device))
  const open = tcpLine(server.ports.mqtt)
  await subject.endure((random) => mqttCase(random, { server, open, strangers: 0.4, token }))
})

void t.test('fuzz: MQTT over WebSocket, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const token = tokens((device) => server.token(device))
  const open = webSocketLine(server.ports.ws)
  await subject.endure((random) => mqttCase(random, { server, open, strangers: 0.4, token }))
})
