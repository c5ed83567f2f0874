import mqttPacket, { type IPublishPacket } from 'mqtt-packet'
import t from 'tap'
import { BrokerCounters } from '../../broker/counters.js'
import { MailboxTransport } from '../../broker/mailbox-transport.js'
import { Output, TurnFlusher } from '../../broker/output.js'
import { FramePackets } from '../../broker/stream/frame-packets.js'
import type { Wire } from '../../broker/wire.js'
import { decodeServerFrame } from '../../protocol/frames/server-frames.js'
import type { CloseCode } from '../../protocol/codes.js'
import type { MailboxMode } from '../../protocol/topics.js'
import { deviceTransportConformance, type TransportHandle } from '../conformance/device-transport.js'

/** A socket that takes everything, or one piece and then nothing until it is relieved. */
class TestWire implements Wire {
  readonly peer = { address: '127.0.0.1', port: 1, certificate: null }
  readonly pieces: Buffer[] = []
  buffered = 0
  blocked = false

  write(bytes: Buffer): boolean {
    this.pieces.push(Buffer.from(bytes))
    if (this.blocked) this.buffered = bytes.length
    return !this.blocked
  }
  attach(): void {}
  pause(): void {}
  resume(): void {}
  finish(): void {}
  destroy(): void {}
}

function publishes(wire: TestWire): IPublishPacket[] {
  const found: IPublishPacket[] = []
  const parser = mqttPacket.parser({ protocolVersion: 4 })
  parser.on('packet', (packet) => {
    if (packet.cmd === 'publish') found.push(packet)
  })
  parser.parse(Buffer.concat(wire.pieces))
  return found
}

function seqsOf(mode: MailboxMode, { topic, payload }: IPublishPacket): number[] {
  if (mode !== 'stream') return [Number(topic.split('/')[2])]
  const frame = decodeServerFrame(Buffer.from(payload))
  return frame.t === 'data' ? frame.messages.map(({ seq }) => seq) : []
}

function open(mode: MailboxMode): TransportHandle {
  const wire = new TestWire()
  const output = new Output(wire, new TurnFlusher(), { outputEmptied() {} })
  const ended: CloseCode[] = []
  const context = { frames: new FramePackets(), counters: new BrokerCounters(), random: () => 0.5 }
  const transport = new MailboxTransport('phone-1', output, context, {
    finish(code) {
      ended.push(code)
      transport.sayBye(code)
      output.finish()
    },
    violated() {},
  })
  transport.subscribed(mode)
  return {
    transport,
    ended,
    written: () => publishes(wire).flatMap((packet) => seqsOf(mode, packet)),
    block() {
      wire.blocked = true
    },
    pass() {
      wire.buffered = 0
      output.writable()
    },
    relieve() {
      wire.blocked = false
      wire.buffered = 0
      output.writable()
    },
    // What is written in one turn leaves at the end of the next.
    async turn() {
      for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

for (const mode of ['plain-seq', 'stream'] as const) {
  deviceTransportConformance(t, { name: mode, open: async () => open(mode) })
}

void t.test('device transport: a stream device is told why before the end, a plain one is not', async (t) => {
  const wires: Record<string, string[]> = {}
  for (const mode of ['plain', 'stream'] as const) {
    const wire = new TestWire()
    const output = new Output(wire, new TurnFlusher(), { outputEmptied() {} })
    const context = { frames: new FramePackets(), counters: new BrokerCounters(), random: () => 0 }
    const transport = new MailboxTransport('phone-1', output, context, { finish() {}, violated() {} })
    transport.subscribed(mode)
    transport.sayBye('draining')
    transport.sayBye('draining')
    transport.unsubscribed()
    output.finish()
    wires[mode] = publishes(wire).map(({ payload }) => decodeServerFrame(Buffer.from(payload)).t)
  }
  t.strictSame(wires, { plain: [], stream: ['bye'] })
})
