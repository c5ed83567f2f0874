// The behaviours of MQTT 3.1.1 with client libraries that others wrote, against a server with `--auth none`.

import t from 'tap'
import { BEHAVIOURS } from '../support/pubsub/behaviours.js'
import { mqttjsDriver } from '../support/pubsub/mqttjs-driver.js'
import { pahoDriver } from '../support/pubsub/paho-driver.js'
import { TestServer } from '../support/server.js'

for (const makeDriver of [mqttjsDriver, pahoDriver]) {
  const { name, missing } = makeDriver(t, 0)
  void t.test(`pubsub clients, ${name}`, { skip: missing ?? false }, async (t) => {
    const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
    for (const [title, behaviour] of Object.entries(BEHAVIOURS)) {
      await t.test(`pubsub clients, ${name}: ${title}`, (t) => behaviour(t, makeDriver(t, server.ports.mqtt)))
    }
  })
}
