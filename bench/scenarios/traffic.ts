// What a device costs on the wire, in bytes inside TCP: to connect, to be there, and for each message. The SDK in stream mode
// beside MQTT.js in plain mode, each through a proxy that counts.
import { setTimeout as delay } from 'node:timers/promises'
import { connectAsync } from 'mqtt'
import { memoryStorage } from '../../sdk/device/storage/memory-storage.js'
import { connect } from '../../sdk/node.js'
import { difference, startCountingProxy, type CountingProxy, type Traffic } from '../lib/counting-proxy.js'
import { dataRootOption, durabilityOption } from '../lib/load-options.js'
import { rounded } from '../lib/numbers.js'
import { integer } from '../lib/options.js'
import { defineScenario } from '../lib/scenario.js'
import { startPostrider, type Postrider } from '../lib/server.js'
import { signDeviceToken } from '../lib/tokens.js'

const spec = {
  idleSeconds: integer(300, 1, 3_600, 'how long nothing is pushed'),
  keepAlive: integer(60, 1, 600, 'keep-alive of both, seconds'),
  live: integer(200, 1, 10_000, 'messages that are pushed one at a time'),
  everyMs: integer(50, 1, 10_000, 'between them'),
  backlog: integer(10_000, 1, 100_000, 'messages that wait when the device comes back'),
  payloadBytes: integer(64, 1, 65_536, 'bytes of a payload'),
  durability: durabilityOption,
  dataRoot: dataRootOption,
}

const PATIENCE_MS = 60_000
const BATCH = 500

/** A kind of client: connects, counts what it gets, and answers what disconnects it. */
interface Kind {
  readonly name: string
  open(port: number, device: string, token: string, keepAlive: number, got: () => void): Promise<() => Promise<unknown>>
}

function sdk(): Kind {
  const storage = memoryStorage()
  return {
    name: 'sdk',
    async open(port, deviceId, token, keepAliveSeconds, got) {
      const urls = `mqtt://127.0.0.1:${port}`
      const client = connect({ urls, deviceId, token, keepAliveSeconds, storage, handler: () => got() })
      await new Promise<void>((resolve, reject) => {
        client.on('state', ({ state }) => {
          if (state === 'catching-up') resolve()
        })
        void client.closed.then(reject)
      })
      return () => client.close()
    },
  }
}

const mqttjs: Kind = {
  name: 'mqttjs',
  async open(port, device, token, keepalive, got) {
    const options = { clientId: device, username: device, password: token, clean: true, keepalive, reconnectPeriod: 0 }
    const client = await connectAsync(`mqtt://127.0.0.1:${port}`, options)
    client.on('message', () => got())
    await client.subscribeAsync(`inbox/${device}`, { qos: 1 })
    return () => client.endAsync()
  },
}

class Measured {
  readonly kind: Kind
  readonly #server: Postrider
  readonly #proxy: CountingProxy
  readonly #keepAlive: number
  #close: () => Promise<unknown> = () => Promise.resolve()
  pushed = 0
  got = 0

  constructor(kind: Kind, server: Postrider, proxy: CountingProxy, keepAlive: number) {
    this.kind = kind
    this.#server = server
    this.#proxy = proxy
    this.#keepAlive = keepAlive
  }

  async open(): Promise<void> {
    const { name } = this.kind
    const token = signDeviceToken(this.#server.tokenSecret, name, Math.floor(Date.now() / 1000))
    this.#close = await this.kind.open(this.#proxy.port, name, token, this.#keepAlive, () => this.got++)
  }

  async close(): Promise<void> {
    await this.#close()
    await delay(500) // the last bytes
  }

  /** What passes while `run` runs, and the acknowledgements after it. */
  async during(run: () => Promise<void>): Promise<Traffic> {
    const before = this.#proxy.traffic()
    await run()
    await delay(500)
    return difference(this.#proxy.traffic(), before)
  }

  async push(count: number, payload: string): Promise<void> {
    const { host, ports, apiKey } = this.#server
    const messages = Array.from({ length: count }, () => ({ device: this.kind.name, payload }))
    const response = await fetch(`http://${host}:${ports.http}/v1/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ messages }),
    })
    if (!response.ok) throw new Error(`a push was refused: ${response.status}`)
    await response.arrayBuffer()
    this.pushed += count
  }

  async arrived(): Promise<void> {
    for (const end = performance.now() + PATIENCE_MS; this.got < this.pushed; await delay(10)) {
      if (performance.now() > end) throw new Error(`${this.kind.name}: ${this.got} of ${this.pushed} arrived`)
    }
  }
}

const perMessage = ({ upBytes, downBytes, upPieces, downPieces }: Traffic, count: number) => ({
  down: rounded(downBytes / count, 1),
  up: rounded(upBytes / count, 1),
  pieces: rounded((upPieces + downPieces) / count, 3),
})

const perHour = ({ upBytes, downBytes, upPieces, downPieces }: Traffic, seconds: number) => ({
  down: rounded((downBytes / seconds) * 3_600),
  up: rounded((upBytes / seconds) * 3_600),
  pieces: rounded(((upPieces + downPieces) / seconds) * 3_600),
})

export const traffic = defineScenario(
  'traffic',
  'what a device costs on the wire: the SDK beside MQTT.js on its inbox',
  spec,
  async (options, { scope, say }) => {
    const { idleSeconds, keepAlive, live, everyMs, backlog, payloadBytes } = options
    const flags = ['--inbox-max', String(Math.max(1_000, backlog)), '--inbox-max-bytes', '1GiB']
    const server = await startPostrider(scope, { ...options, flags })
    const payload = 'x'.repeat(payloadBytes)
    const both: Measured[] = []
    for (const kind of [sdk(), mqttjs]) {
      both.push(new Measured(kind, server, await startCountingProxy(scope, server.ports.mqtt), keepAlive))
    }
    const rows = await Promise.all(
      both.map(async (device) => {
        const connecting = await device.during(() => device.open())
        say(`${device.kind.name} is connected`)
        const idle = await device.during(() => delay(idleSeconds * 1_000))
        const trickle = await device.during(async () => {
          for (let i = 0; i < live; i++) {
            await device.push(1, payload)
            await delay(everyMs)
          }
          await device.arrived()
        })
        await device.close()
        for (let left = backlog; left > 0; left -= BATCH) await device.push(Math.min(BATCH, left), payload)
        const waited = await device.during(async () => {
          await device.open()
          await device.arrived()
        })
        await device.close()
        return [
          device.kind.name,
          {
            connectBytes: { down: connecting.downBytes, up: connecting.upBytes },
            idleBytesAnHour: perHour(idle, idleSeconds),
            liveBytesAMessage: perMessage(trickle, live),
            backlogBytesAMessage: perMessage(difference(waited, connecting), backlog),
          },
        ] as const
      }),
    )
    return { clean: both.every(({ got, pushed }) => got === pushed), report: Object.fromEntries(rows) }
  },
)
