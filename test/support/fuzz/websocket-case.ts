// One connection to the WebSocket port in raw bytes: a handshake and frames, with faults in either.

import { connect } from 'node:net'
import { cut, mutate } from './bytes.js'
import { anyPacket, goodConnect, type Sender } from './mqtt-input.js'
import { topicsOf } from './mqtt-case.js'
import type { Random } from './random.js'
import { reset } from './reset.js'
import { FUZZ_DEVICES } from './subject.js'
import { within } from './within.js'
import { word } from './words.js'

const WRONG = 0.05

function handshake(random: Random): Buffer {
  const path = random.chance(WRONG) ? word(random).replaceAll(/[\r\n ]/g, '') : '/mqtt'
  const lines = [
    `${random.chance(WRONG) ? random.pick(['POST', 'OPTIONS', 'HEAD', 'GETT']) : 'GET'} ${path} HTTP/1.1`,
    'host: localhost',
    `upgrade: ${random.chance(WRONG) ? word(random).replaceAll(/[\r\n]/g, '') : 'websocket'}`,
    `connection: ${random.chance(WRONG) ? 'close' : 'Upgrade'}`,
    `sec-websocket-version: ${random.chance(WRONG) ? random.below(20) : 13}`,
    `sec-websocket-key: ${random.chance(WRONG) ? word(random).replaceAll(/[\r\n]/g, '') : 'AAAAAAAAAAAAAAAAAAAAAA=='}`,
    `sec-websocket-protocol: ${random.chance(WRONG) ? random.pick(['', 'mqttv3.1', 'x, mqtt', ',', 'mqtt,mqtt']) : 'mqtt'}`,
  ]
  if (random.chance(0.2)) lines.push('sec-websocket-extensions: permessage-deflate; client_max_window_bits')
  if (random.chance(WRONG)) lines.push(`origin: http://${word(random).replaceAll(/[\r\n]/g, '')}`)
  const bytes = Buffer.from(`${lines.filter(() => !random.chance(WRONG / 5)).join('\r\n')}\r\n\r\n`)
  return random.chance(WRONG) ? mutate(bytes, random) : bytes
}

/** A frame of RFC 6455, masked as clients have to. */
function frame(payload: Buffer, random: Random, first: boolean, last: boolean): Buffer {
  let head = (last ? 0x80 : 0) | (first ? 2 : 0)
  if (random.chance(WRONG)) head = random.below(256)
  const masked = !random.chance(WRONG / 2)
  const length = random.chance(WRONG / 2) ? random.pick([0, payload.length + 1, 0x7fff_ffff]) : payload.length
  const form = random.chance(WRONG) ? random.pick([16, 64]) : length < 126 ? 7 : length < 65_536 ? 16 : 64
  const size = Buffer.alloc(form === 7 ? 1 : form === 16 ? 3 : 9)
  size[0] = (masked ? 0x80 : 0) | (form === 7 ? length & 0x7f : form === 16 ? 126 : 127)
  if (form === 16) size.writeUInt16BE(length & 0xffff, 1)
  if (form === 64) size.writeBigUInt64BE(random.chance(WRONG) ? 2n ** 63n : BigInt(length), 1)
  const mask = random.bytes(4)
  const body = masked ? Buffer.concat([mask, payload.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]) : payload
  return Buffer.concat([Buffer.from([head]), size, body])
}

/** Bytes of MQTT in one frame, or in fragments, with control frames between them. */
function message(payload: Buffer, random: Random): Buffer {
  const pieces = random.chance(0.3) ? cut(payload, random) : [payload]
  return Buffer.concat(
    pieces.flatMap((piece, i) => {
      const control = random.chance(0.05) ? [frame(random.bytes(random.below(130)), random, true, true)] : []
      const made = frame(piece, random, i === 0, i === pieces.length - 1)
      // A ping, a pong or a close, which may stand between fragments.
      for (const each of control) each[0] = random.pick([0x88, 0x89, 0x8a, 0x8b])
      return [...control, made]
    }),
  )
}

export interface WebSocketCaseOptions {
  readonly port: number
  token(this: void, device: string): Promise<string>
}

export async function webSocketCase(random: Random, { port, token }: WebSocketCaseOptions): Promise<void> {
  const device = random.pick(FUZZ_DEVICES)
  const sender: Sender = { device, token: await token(device), topics: topicsOf(device) }
  const packets = [goodConnect(sender, true)]
  for (let left = random.below(8); left > 0; left--) packets.push(anyPacket(random, sender))
  const frames = random.chance(0.1)
    ? [random.bytes(random.size(3_000))]
    : packets.map((packet) => message(packet, random))
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let received = Buffer.alloc(0)
  let closed = false
  socket.on('data', (chunk) => (received = Buffer.concat([received, chunk])))
  socket.on('error', () => {}) // 'close' follows
  socket.on('close', () => (closed = true))
  const greeting = handshake(random)
  // Sometimes it does not wait for the answer.
  const patient = random.chance(0.7)
  socket.write(greeting)
  if (patient) await within(200, () => closed || received.length > 0)
  for (const piece of frames.flatMap((each) => cut(each, random))) {
    if (closed) break
    socket.write(piece)
  }
  await within(random.pick([2, 10, 50]), () => closed)
  if (random.chance(0.3)) reset(socket)
  else socket.end()
  if (!(await within(12_000, () => closed))) throw new Error('the connection does not end')
  const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(received.toString('latin1'))?.[1] ?? ''
  if (received.length > 0 && !/^(?:101|4[0-9]{2})$/.test(status)) {
    throw new Error(
      `answered ${JSON.stringify(received.toString('latin1').slice(0, 200))} to ${JSON.stringify(greeting.toString('latin1'))}`,
    )
  }
}
