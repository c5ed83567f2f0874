// A client of ordinary pub/sub that does the handshakes by itself, or leaves them to the test.

import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet'
import { until } from '../broker/node.js'
import { connectPacket, RawClient } from '../broker/raw-client.js'

export interface ClientOptions extends Partial<IConnectPacket> {
  readonly token?: string | null
  /** Acknowledges what comes. Default: true. */
  readonly acks?: boolean
}

export interface PublishOptions {
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly dup?: boolean
  readonly messageId?: number
}

export class PubSubClient {
  readonly raw: RawClient
  readonly sessionPresent: boolean
  #nextId = 1

  private constructor(raw: RawClient, sessionPresent: boolean) {
    this.raw = raw
    this.sessionPresent = sessionPresent
  }

  /** Connects; rejects when the CONNACK refuses. */
  static async connect(port: number, id: string, options: ClientOptions = {}): Promise<PubSubClient> {
    const { token = null, acks = true, ...rest } = options
    const raw = await RawClient.to(port)
    if (acks) raw.onPacket = (packet) => handshake(raw, packet)
    raw.send(connectPacket(id, token, rest))
    const connack = await raw.next('connack')
    if (connack.cmd !== 'connack' || connack.returnCode !== 0) {
      await raw.end()
      throw new Error(`CONNACK ${connack.cmd === 'connack' ? connack.returnCode : '?'}`)
    }
    return new PubSubClient(raw, connack.sessionPresent)
  }

  /** The codes of the SUBACK. */
  async subscribe(...filters: Array<string | readonly [string, 0 | 1 | 2]>): Promise<unknown> {
    const messageId = this.#nextId++
    const subscriptions = filters.map((filter) =>
      typeof filter === 'string' ? { topic: filter, qos: 1 as const } : { topic: filter[0], qos: filter[1] },
    )
    const answer = this.#answer('suback', messageId)
    this.raw.send({ cmd: 'subscribe', messageId, subscriptions })
    const suback = await answer()
    return suback.cmd === 'suback' ? suback.granted : null
  }

  async unsubscribe(...filters: string[]): Promise<void> {
    const messageId = this.#nextId++
    const answer = this.#answer('unsuback', messageId)
    this.raw.send({ cmd: 'unsubscribe', messageId, unsubscriptions: filters })
    await answer()
  }

  /** Resolves when the publish is acknowledged: PUBACK, or PUBCOMP. */
  async publish(topic: string, payload: string, options: PublishOptions = {}): Promise<void> {
    const { qos = 0, messageId = this.#nextId++ } = options
    const [puback, pubrec, pubcomp] = (['puback', 'pubrec', 'pubcomp'] as const).map((cmd) =>
      this.#answer(cmd, messageId),
    )
    this.send(topic, payload, { ...options, messageId })
    if (qos === 1) await puback?.()
    if (qos !== 2) return
    await pubrec?.()
    this.raw.send({ cmd: 'pubrel', messageId })
    await pubcomp?.()
  }

  /** Sends a PUBLISH and waits for nothing; its packet id. */
  send(
    topic: string,
    payload: string,
    { qos = 0, retain = false, dup = false, messageId }: PublishOptions = {},
  ): number {
    const id = messageId ?? this.#nextId++
    this.raw.send({ cmd: 'publish', topic, payload, qos, retain, dup, messageId: id })
    return id
  }

  get messages(): readonly IPublishPacket[] {
    return this.raw.publishes
  }

  /** Payloads in the order in which they came. */
  get texts(): string[] {
    return this.raw.texts
  }

  /** `topic payload qos`, and `R` for retained, `D` for dup. */
  get outline(): string[] {
    return this.messages.map(
      ({ topic, payload, qos, retain, dup }) =>
        `${topic} ${payload.toString()} ${qos}${retain ? ' R' : ''}${dup ? ' D' : ''}`,
    )
  }

  /** Waits until so many messages have come. */
  async received(count: number): Promise<void> {
    await until(
      `${count} messages, got ${this.messages.length}: ${this.texts.slice(-5).join()}`,
      () => this.messages.length >= count || this.raw.closed,
    )
    if (this.messages.length < count) throw new Error(`closed after ${this.messages.length} messages`)
  }

  /** Everything that the broker had for this client when it got this has come. */
  async caughtUp(): Promise<void> {
    const before = this.raw.packets.filter(({ cmd }) => cmd === 'pingresp').length
    this.raw.send({ cmd: 'pingreq' })
    await this.raw.next('pingresp', before + 1)
  }

  /** With a DISCONNECT. */
  async disconnect(): Promise<void> {
    this.raw.send({ cmd: 'disconnect' })
    await this.raw.untilClosed()
  }

  /** Without one. */
  async drop(): Promise<void> {
    await this.raw.end()
  }

  /** To be made before what is answered is sent. */
  #answer(cmd: Packet['cmd'], messageId: number): () => Promise<Packet> {
    const answers = (): Packet[] =>
      this.raw.packets.filter((packet) => packet.cmd === cmd && packet.messageId === messageId)
    const before = answers().length
    return async () => {
      await until(`${cmd} ${messageId}`, () => answers().length > before || this.raw.closed)
      const answer = answers()[before]
      if (answer === undefined) throw new Error(`closed before ${cmd} ${messageId}`)
      return answer
    }
  }
}

function handshake(raw: RawClient, packet: Packet): void {
  const { messageId = 0 } = packet
  if (packet.cmd === 'publish' && packet.qos === 1) raw.send({ cmd: 'puback', messageId })
  if (packet.cmd === 'publish' && packet.qos === 2) raw.send({ cmd: 'pubrec', messageId })
  if (packet.cmd === 'pubrel') raw.send({ cmd: 'pubcomp', messageId })
}
