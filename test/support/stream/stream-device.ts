// A device in stream mode that speaks frames by hand, over the bytes of MQTT: it checks what every client has to check (nothing
// before the welcome, `prev`, increasing seqs), and acknowledges only as it is told.

import type { IPublishPacket, Packet } from 'mqtt-packet'
import { encodeAck } from '../../../protocol/frames/ack.js'
import type { ByeFrame, GapFrame, ServerFrame, WirePosition } from '../../../protocol/frames/frame-types.js'
import { encodeHello } from '../../../protocol/frames/hello.js'
import { decodeServerFrame } from '../../../protocol/frames/server-frames.js'
import type { TestNode } from '../broker/node.js'
import { until } from '../broker/node.js'
import { RawClient } from '../broker/raw-client.js'

export interface StreamOptions {
  /** The position in the hello; null: none. Default null. */
  readonly position?: WirePosition | null
  readonly window?: number
  readonly maxFrameBytes?: number
  /** Sends the PUBACK of every frame. Default true. */
  readonly receives?: boolean
  /** Acknowledges every data frame at once. Default false. */
  readonly acks?: boolean
  readonly clean?: boolean
  readonly token?: string
}

export class StreamDevice {
  readonly raw: RawClient
  readonly device: string
  readonly log: string
  readonly frames: ServerFrame[] = []
  /** Bytes of each frame, in the same order. */
  readonly sizes: number[] = []
  /** What the server did against the rules. */
  readonly faults: string[] = []
  private readonly options: StreamOptions
  private taken = 0
  private told = -1
  private nextId = 10

  private constructor(raw: RawClient, device: string, options: StreamOptions) {
    this.raw = raw
    this.device = device
    this.log = `d:${device}`
    this.options = options
    raw.onPacket = () => this.take()
  }

  /** Connects, subscribes and says hello, all in one go. */
  static async open(node: TestNode, device: string, options: StreamOptions = {}): Promise<StreamDevice> {
    const made = await StreamDevice.connect(node, device, options)
    made.subscribe()
    made.hello()
    return made
  }

  /** Connected, and nothing more. */
  static async connect(node: TestNode, device: string, options: StreamOptions = {}): Promise<StreamDevice> {
    const token = options.token ?? (await node.token(device))
    const raw = await RawClient.as(node.mqtt, device, token, { clean: options.clean ?? true })
    return new StreamDevice(raw, device, options)
  }

  subscribe(): void {
    this.raw.send({
      cmd: 'subscribe',
      messageId: this.nextId++,
      subscriptions: [{ topic: `stream/${this.device}`, qos: 1 }],
    })
  }

  hello(position: WirePosition | null = this.options.position ?? null): void {
    const { window = 64, maxFrameBytes = 65_536 } = this.options
    const cursors = new Map(position === null ? [] : [[this.log, position]])
    this.control('hello', encodeHello({ cursors, window, maxFrameBytes, sdk: 'test' }))
  }

  /** A PUBLISH on a control topic; its packet id, 0 for QoS 0. */
  control(topic: string, payload: Uint8Array, qos: 0 | 1 = 1, more: Partial<IPublishPacket> = {}): number {
    const messageId = qos === 0 ? 0 : this.nextId++
    const packet: Packet = {
      cmd: 'publish',
      topic: `stream/${this.device}/${topic}`,
      payload: Buffer.from(payload),
      qos,
      dup: false,
      retain: false,
      ...(qos === 0 ? {} : { messageId }),
      ...more,
    }
    this.raw.send(packet)
    return messageId
  }

  ack(epoch: string, seq: number, qos: 0 | 1 = 0): void {
    this.control('ack', encodeAck(new Map([[this.log, [epoch, seq]]])), qos)
  }

  private take(): void {
    for (const packet of this.raw.publishes.slice(this.taken)) {
      this.taken++
      const frame = decodeServerFrame(
        packet.payload instanceof Uint8Array ? packet.payload : Buffer.from(packet.payload),
      )
      this.frames.push(frame)
      this.sizes.push(packet.payload.length)
      if (packet.qos !== 1 || (packet.messageId ?? 0) < 0x8000) this.faults.push('a frame of another QoS or id')
      if (packet.topic !== `stream/${this.device}`) this.faults.push(`a frame on ${packet.topic}`)
      this.check(frame)
      if (this.options.receives ?? true) this.raw.ack(packet)
      if (this.options.acks === true && frame.t === 'data') this.ack(frame.epoch, frame.messages.at(-1)?.seq ?? 0)
    }
  }

  private check(frame: ServerFrame): void {
    if (frame.t === 'bye') return
    if (frame.t === 'welcome') {
      if (this.told >= 0) this.faults.push('a second welcome')
      this.told = frame.logs.get(this.log)?.cursor ?? 0
      return
    }
    if (this.told < 0) this.faults.push(`${frame.t} before the welcome`)
    if (frame.t === 'gap') this.told = Math.max(this.told, frame.to)
    if (frame.t !== 'data') return
    if (frame.prev !== this.told) this.faults.push(`prev is ${frame.prev}, told was ${this.told}`)
    this.told = frame.messages.at(-1)?.seq ?? 0
  }

  /** Messages in the order in which they came. */
  get messages(): ReadonlyArray<{
    readonly epoch: string
    readonly seq: number
    readonly text: string
    readonly flags: number
  }> {
    return this.frames.flatMap((frame) =>
      frame.t === 'data'
        ? frame.messages.map(({ seq, payload, flags }) => ({
            epoch: frame.epoch,
            seq,
            text: Buffer.from(payload).toString(),
            flags,
          }))
        : [],
    )
  }

  get seqs(): number[] {
    return this.messages.map(({ seq }) => seq)
  }

  get gaps(): string[] {
    return this.frames.flatMap((frame) => (frame.t === 'gap' ? [`${frame.from}-${frame.to} ${frame.reason}`] : []))
  }

  /** One word for each frame: `data 0>1..3`. */
  get words(): string[] {
    return this.frames.map((frame) => {
      switch (frame.t) {
        case 'welcome': {
          const log = frame.logs.get(this.log)
          return `welcome ${log?.cursor}/${log?.head}`
        }
        case 'data':
          return `data ${frame.prev}>${frame.messages.map(({ seq }) => seq).join()}`
        case 'gap':
          return `gap ${frame.from}-${frame.to} ${frame.reason}`
        case 'reset':
          return `reset ${frame.cursor}/${frame.head}`
        case 'bye':
          return `bye ${frame.code}`
        default:
          return '?'
      }
    })
  }

  get lastGap(): GapFrame | undefined {
    return this.frames.findLast((frame) => frame.t === 'gap')
  }

  /** The epoch of the welcome. */
  get epoch(): string {
    const welcome = this.frames.find((frame) => frame.t === 'welcome')
    return welcome?.logs.get(this.log)?.epoch ?? ''
  }

  async welcomed(): Promise<this> {
    await until(
      `a welcome, got ${this.words.join('; ')}`,
      () => this.frames.some((f) => f.t === 'welcome') || this.raw.closed,
    )
    return this
  }

  async has(count: number, ms?: number): Promise<void> {
    await until(`${count} messages`, () => this.seqs.length >= count, ms)
  }

  /** The bye that came, once the connection has ended. */
  async bye(): Promise<ByeFrame | undefined> {
    await this.raw.untilClosed(15_000)
    const last = this.frames.at(-1)
    return last?.t === 'bye' ? last : undefined
  }
}
