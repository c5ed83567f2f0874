// A server of stream mode without a network, for tests of the SDK that say to the millisecond and byte what happens. It reads
// packets with another implementation than the SDK's, and decides nothing by itself but to confirm what is QoS 1.

import mqttPacket from 'mqtt-packet'
import { decodeDeviceFrame } from '../../../protocol/frames/device-frames.js'
import type {
  AckFrame,
  DeviceFrame,
  HelloFrame,
  UplinkFrame,
  WireMessage,
} from '../../../protocol/frames/frame-types.js'
import { encodeBye } from '../../../protocol/frames/bye.js'
import { encodeData } from '../../../protocol/frames/data.js'
import { encodeGap } from '../../../protocol/frames/gap.js'
import { encodeReset } from '../../../protocol/frames/reset.js'
import { encodeWelcome } from '../../../protocol/frames/welcome.js'
import type { CloseCode } from '../../../protocol/codes.js'
import { byeFrame } from '../../../protocol/frames/bye.js'
import type { Channel, ChannelHandlers, NetworkEvent, Platform } from '../../../sdk/device/platform.js'
import { ManualClock } from './manual-clock.js'
import { E1, LOG, wire } from './handling-rig.js'

/** One connection, from the server's side. */
export class FakeConnection {
  readonly url: URL
  readonly #handlers: ChannelHandlers
  readonly #parser = mqttPacket.parser({ protocolVersion: 4 })
  /** Everything that the client sent. */
  readonly packets: mqttPacket.Packet[] = []
  readonly frames: DeviceFrame[] = []
  /** Ended by the client; `disconnect`: in good order. */
  over: 'no' | 'disconnect' | 'cut' = 'no'
  /** QoS 1 packets and pings are answered by themselves. */
  answers = true
  #nextId = 0x8000

  constructor(url: URL, handlers: ChannelHandlers) {
    this.url = url
    this.#handlers = handlers
    this.#parser.on('packet', (packet: mqttPacket.Packet) => this.#onPacket(packet))
  }

  readonly channel: Channel = {
    write: (bytes) => void this.#parser.parse(Buffer.from(bytes)),
    end: () => {
      this.over = 'disconnect'
      return Promise.resolve()
    },
    destroy: () => {
      this.over = this.over === 'no' ? 'cut' : this.over
    },
  }

  #onPacket(packet: mqttPacket.Packet): void {
    this.packets.push(packet)
    if (packet.cmd === 'publish') {
      const { payload } = packet
      this.frames.push(decodeDeviceFrame(typeof payload === 'string' ? Buffer.from(payload) : payload))
    }
    // As over a network: never inside the write that it answers.
    if (this.answers) queueMicrotask(() => this.#answer(packet))
  }

  #answer(packet: mqttPacket.Packet): void {
    if (packet.cmd === 'pingreq') this.send({ cmd: 'pingresp' })
    if (packet.cmd === 'publish' && packet.qos === 1) this.confirm(packet.messageId)
  }

  confirm(messageId = 0): void {
    this.send({ cmd: 'puback', messageId })
  }

  send(packet: mqttPacket.Packet): this {
    this.bytes(mqttPacket.generate(packet))
    return this
  }

  bytes(bytes: Uint8Array): void {
    if (this.over === 'no') this.#handlers.onData(Uint8Array.from(bytes))
  }

  open(): this {
    this.#handlers.onOpen()
    return this
  }

  /** The connection breaks. */
  cut(error: Error | null = new Error('cut')): void {
    if (this.over !== 'no') return
    this.over = 'cut'
    this.#handlers.onEnd(error)
  }

  accept(returnCode = 0): this {
    this.send({ cmd: 'connack', returnCode, sessionPresent: false })
    if (returnCode === 0) this.send({ cmd: 'suback', messageId: 1, granted: [1] })
    return this
  }

  frame(payload: Uint8Array): this {
    const messageId = this.#nextId++
    return this.send({
      cmd: 'publish',
      topic: 'stream/phone-1',
      payload: Buffer.from(payload),
      qos: 1,
      dup: false,
      retain: false,
      messageId,
    })
  }

  welcome(cursor = 0, head = cursor, epoch = E1, time = 0): this {
    const logs = new Map([[LOG, { epoch, cursor, head }]])
    return this.frame(encodeWelcome({ time, node: 'n', session: 's', logs }))
  }

  data(prev: number, seqs: readonly number[], epoch = E1, more: Partial<WireMessage> = {}): this {
    return this.frame(encodeData({ log: LOG, epoch, prev, messages: seqs.map((seq) => wire(seq, more)) }))
  }

  gap(from: number, to: number, epoch = E1): this {
    return this.frame(encodeGap({ log: LOG, epoch, from, to, reason: 'overflow' }))
  }

  reset(cursor: number, head: number, epoch = E1): this {
    return this.frame(encodeReset({ log: LOG, epoch, cursor, head }))
  }

  /** Says bye and breaks off. */
  bye(code: CloseCode): void {
    this.frame(encodeBye(byeFrame(code)))
    this.cut(null)
  }

  get hello(): HelloFrame | undefined {
    return this.frames.find((frame) => frame.t === 'hello')
  }

  /** The last position of the log that was acknowledged. */
  get acked(): number | undefined {
    const acks = this.frames.filter((frame): frame is AckFrame => frame.t === 'ack')
    return acks.at(-1)?.acks.get(LOG)?.[1]
  }

  get uplinks(): readonly UplinkFrame[] {
    return this.frames.filter((frame): frame is UplinkFrame => frame.t === 'uplink')
  }

  count(cmd: mqttPacket.Packet['cmd']): number {
    return this.packets.filter((packet) => packet.cmd === cmd).length
  }
}

/** The world of a client in such a test: its clock, its network and all its connections. */
export class FakeWorld {
  readonly clock = new ManualClock()
  readonly connections: FakeConnection[] = []
  random = 0.5
  readonly #watchers = new Set<(event: NetworkEvent) => void>()

  readonly platform: Platform = {
    clock: this.clock,
    random: () => this.random,
    schemes: ['mqtt:', 'mqtts:', 'ws:', 'wss:'],
    open: (url, handlers) => {
      const connection = new FakeConnection(url, handlers)
      this.connections.push(connection)
      return connection.channel
    },
    watchNetwork: (listener) => {
      this.#watchers.add(listener)
      return () => this.#watchers.delete(listener)
    },
  }

  /** The last connection. */
  get now(): FakeConnection {
    const last = this.connections.at(-1)
    if (last === undefined) throw new Error('no connection was opened')
    return last
  }

  get watchers(): number {
    return this.#watchers.size
  }

  network(event: NetworkEvent): void {
    for (const watcher of this.#watchers) watcher(event)
  }
}
