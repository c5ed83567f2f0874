// The behaviours of MQTT 3.1.1 with client libraries that others wrote, against servers with `--auth none`: one on its own, and
// two on one Redis between which the clients take turns.

import t, { type Test } from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { BEHAVIOURS } from '../support/pubsub/behaviours.js'
import type { Driver } from '../support/pubsub/driver.js'
import { mqttjsDriver } from '../support/pubsub/mqttjs-driver.js'
import { pahoDriver } from '../support/pubsub/paho-driver.js'
import { noRedis } from '../support/redis/server.js'
import { TestServer } from '../support/server.js'

type MakeDriver = (t: Test, port: number) => Driver

/** Every client is connected to the next server. */
function takingTurns(makeDriver: MakeDriver, t: Test, servers: readonly TestServer[]): Driver {
  const drivers = servers.map((server) => makeDriver(t, server.ports.mqtt))
  const [first] = drivers
  if (first === undefined) throw new Error('at least one')
  let turn = 0
  return { ...first, connect: (id, options) => (drivers[turn++ % drivers.length] ?? first).connect(id, options) }
}

const PLACES: ReadonlyArray<{
  readonly where: string
  readonly missing: string | false
  readonly start: (t: Test) => Promise<readonly TestServer[]>
}> = [
  {
    where: 'one server',
    missing: false,
    start: async (t) => [await TestServer.start(t, { flags: ['--auth', 'none'] })],
  },
  {
    where: 'two brokers on Redis',
    missing: noRedis,
    async start(t) {
      const { node } = await startClusterOn(t)
      const flags = ['--role', 'broker', '--auth', 'none']
      return [await node(...flags), await node(...flags)]
    },
  },
]

for (const makeDriver of [mqttjsDriver, pahoDriver]) {
  const { name, missing } = makeDriver(t, 0)
  for (const place of PLACES) {
    const title = `pubsub clients, ${name}, ${place.where}`
    void t.test(title, { skip: missing ?? place.missing }, async (t) => {
      const servers = await place.start(t)
      for (const [what, behaviour] of Object.entries(BEHAVIOURS)) {
        await t.test(`${title}: ${what}`, (t) => behaviour(t, takingTurns(makeDriver, t, servers)))
      }
    })
  }
}
