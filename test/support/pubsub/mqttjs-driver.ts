import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt'
import type { Test } from 'tap'
import { until } from '../road/wait.js'
import type { Driver, DriverClient, DriverConnect, DriverMessage } from './driver.js'

/** MQTT.js, on the port. Its clients are ended with the test. */
export function mqttjsDriver(t: Test, port: number): Driver {
  return {
    name: 'MQTT.js',
    missing: null,
    async connect(id, options = {}) {
      const client = mqtt.connect({ host: '127.0.0.1', port, ...connectOptions(id, options) })
      t.teardown(() => client.endAsync(true))
      const messages: DriverMessage[] = []
      let closed = false
      client.on('close', () => (closed = true))
      client.on('error', () => {})
      client.on('message', (topic, payload, { qos, retain, dup }: IPublishPacket) => {
        messages.push({ topic, payload: payload.toString(), qos, retain, dup })
      })
      if (options.acks === false) {
        client.handleMessage = () => {
          // Not calling back is how it is told that the message is not handled.
        }
      }
      const sessionPresent = await connected(client)
      return wrap(client, sessionPresent, messages, () => closed)
    },
  }
}

const connectOptions = (id: string, { clean = true, keepalive = 60, will }: DriverConnect) => ({
  clientId: id,
  clean,
  keepalive,
  reconnectPeriod: 0,
  resubscribe: false,
  ...(will === undefined ? {} : { will: { ...will, payload: Buffer.from(will.payload) } }),
})

async function connected(client: MqttClient): Promise<boolean> {
  return new Promise((resolve, reject) => {
    client.once('connect', ({ sessionPresent }) => resolve(sessionPresent))
    client.once('error', reject)
    client.once('close', () => reject(new Error('refused')))
  })
}

function wrap(
  client: MqttClient,
  sessionPresent: boolean,
  messages: readonly DriverMessage[],
  isClosed: () => boolean,
): DriverClient {
  return {
    sessionPresent,
    messages,
    get closed() {
      return isClosed()
    },
    async subscribe(...filters) {
      const map = Object.fromEntries(filters.map(([filter, qos]) => [filter, { qos }]))
      return new Promise((resolve) => {
        client.subscribe(map, (_error, _grants, packet) => {
          resolve(packet !== undefined && 'granted' in packet ? packet.granted.map(Number) : [])
        })
      })
    },
    async unsubscribe(...filters) {
      await client.unsubscribeAsync([...filters])
    },
    async publish(topic, payload, qos, retain = false) {
      await client.publishAsync(topic, payload, { qos, retain })
    },
    async disconnect() {
      await client.endAsync()
    },
    async drop() {
      client.stream.destroy()
      await until('the connection to end', isClosed)
    },
  }
}
