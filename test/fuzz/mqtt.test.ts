// Random bytes and packets on the MQTT ports, before and after CONNECT.

import t from 'tap'
import { patience } from '../support/fuzz/campaign.js'
import { GRANTS, mqttCase, tcpLine, tidyUp, webSocketLine } from '../support/fuzz/mqtt-case.js'
import { Subject } from '../support/fuzz/subject.js'
import { webSocketCase } from '../support/fuzz/websocket-case.js'
import type { TestServer } from '../support/server.js'

t.setTimeout(3 * patience())
// Each has a server of its own, and waits most of the time.
t.jobs = 3

/** A token for each device, made once: cases are quicker so, and their bytes differ less. */
function tokensOf(server: TestServer): (device: string) => Promise<string> {
  const made = new Map<string, Promise<string>>()
  return (device) => {
    const token = made.get(device) ?? server.token(device, 86_400, GRANTS)
    made.set(device, token)
    return token
  }
}

void t.test('fuzz: MQTT over TCP, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const token = tokensOf(server)
  const open = tcpLine(server.ports.mqtt)
  await subject.endure(
    (random) => mqttCase(random, { server, open, strangers: 0.4, token }),
    () => tidyUp(open, token),
  )
})

void t.test('fuzz: MQTT over WebSocket, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const token = tokensOf(server)
  const open = webSocketLine(server.ports.ws)
  await subject.endure(
    (random) => mqttCase(random, { server, open, strangers: 0.2, token }),
    () => tidyUp(open, token),
  )
})

void t.test('fuzz: handshakes and frames of WebSocket, and a canary misses nothing', async (t) => {
  const subject = await Subject.start(t)
  const { server } = subject
  const token = tokensOf(server)
  await subject.endure(
    (random) => webSocketCase(random, { port: server.ports.ws, token }),
    () => tidyUp(tcpLine(server.ports.mqtt), token),
  )
})
