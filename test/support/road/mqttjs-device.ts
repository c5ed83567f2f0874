// MQTT.js as an application would use it, with its own reconnecting, telling the ledger all that it sees.

import mqtt, { type MqttClient } from 'mqtt'
import type { ConnectionNotes, RoadLedger } from './ledger.js'
import { readMark, seqOf } from './payload.js'
import { until } from './wait.js'

export interface MqttjsDeviceOptions {
  readonly device: string
  readonly token: string
  /** mqtt:// or ws://. */
  readonly url: string
  readonly ledger: RoadLedger
  readonly clean?: boolean
  readonly qos?: 1 | 2
}

export class MqttjsDevice {
  readonly device: string
  readonly client: MqttClient
  readonly #options: MqttjsDeviceOptions
  connections = 0
  ready = false
  received = 0

  constructor(options: MqttjsDeviceOptions) {
    const { device, token, url, ledger, clean = true, qos = 1 } = options
    this.#options = options
    this.device = device
    this.client = mqtt.connect(url, {
      clientId: device,
      username: device,
      password: token,
      clean,
      protocolVersion: 4,
      reconnectPeriod: 60,
      connectTimeout: 5_000,
      resubscribe: false,
    })
    let notes: ConnectionNotes | null = null
    const inFlight = new Map<number, number>()
    const here = new Set<number>()
    this.client.on('connect', () => {
      this.client.subscribe(`inbox/${device}/+`, { qos }, (error) => {
        this.ready = error === null
      })
    })
    this.client.on('close', () => {
      this.ready = false
    })
    this.client.on('error', () => {}) // it goes on by itself
    this.client.on('packetreceive', (packet) => {
      // Not at 'connect': a kept subscription brings messages before the library says that.
      if (packet.cmd === 'connack' && packet.returnCode === 0) {
        this.connections++
        notes = ledger.connected(device)
        inFlight.clear()
        here.clear()
      }
      if (packet.cmd !== 'publish') return
      const { number } = readMark(Buffer.from(packet.payload))
      // MQTT.js goes on with what it had read of an ended connection after the next one is there, and does not say of which
      // a packet is. The raw devices tell whether one connection brings a message twice.
      if (!here.has(number) || !packet.dup) notes?.arrived(number, seqOf(packet.topic), packet.dup)
      here.add(number)
      this.received++
      inFlight.set(packet.messageId ?? 0, number)
    })
    this.client.on('packetsend', (packet) => {
      if (packet.cmd !== 'puback') return
      const number = inFlight.get(packet.messageId ?? 0)
      if (number !== undefined) notes?.acked(number)
    })
  }

  async untilReady(): Promise<this> {
    await until(`${this.device} at ${this.#options.url} to be connected`, () => this.ready)
    return this
  }

  async stop(): Promise<void> {
    await this.client.endAsync()
  }
}
