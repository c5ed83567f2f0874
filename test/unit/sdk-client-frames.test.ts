// What a server may do wrong: every frame with something wrong in every field, every packet, every byte. It is named by an error,
// nothing of it is handled or acknowledged, and nothing waits for ever.

import t, { type Test } from 'tap'
import { encodeAck } from '../../protocol/frames/ack.js'
import { encodeData } from '../../protocol/frames/data.js'
import { encodeGap } from '../../protocol/frames/gap.js'
import { encodeWelcome } from '../../protocol/frames/welcome.js'
import { vectorFiles } from '../support/frames/vectors.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import type { FakeConnection } from '../support/sdk/fake-server.js'
import { E1, LOG, settle, wire } from '../support/sdk/handling-rig.js'

/** Before the welcome. */
async function accepted(): Promise<ClientRig> {
  const rig = new ClientRig()
  await settle()
  rig.world.now.open().accept()
  return rig
}

/** The first time costs a reconnect, the second time is the end; nothing came of it. */
async function isNamed(
  t: Test,
  what: string,
  rig: ClientRig,
  code: 'malformed_frame' | 'sequence_broken',
  path: string,
  again: (connection: FakeConnection) => void,
): Promise<void> {
  await settle()
  const [error] = rig.errors
  const right =
    rig.client.state === 'waiting' &&
    rig.errors.length === 1 &&
    error?.code === code &&
    error.message.includes(path) &&
    rig.world.now.over === 'cut'
  if (!right) t.fail(`${what}: ${rig.client.state}, ${rig.errors.map(({ message }) => message).join('; ')}`)
  await rig.reconnects()
  rig.world.now.open().accept()
  again(rig.world.now)
  await settle()
  if (rig.ended?.code !== 'stream_broken') t.fail(`${what}: the second time, ${rig.client.state}`)
  const acked = rig.world.connections.some((connection) => connection.acked !== undefined)
  if (rig.handled.length > 0 || acked || rig.gaps.length > 0) t.fail(`${what}: something came of it`)
  if (rig.world.clock.next !== null) t.fail(`${what}: a timer is left`)
}

void t.test('SDK frames: whatever field of whatever frame is wrong is named, once it costs a reconnect', async (t) => {
  let count = 0
  for (const { frame, direction, invalid } of vectorFiles()) {
    if (direction === 'device') continue
    for (const { name, bytes, path } of invalid) {
      count++
      const rig = frame === 'welcome' ? await accepted() : await new ClientRig().live()
      rig.world.now.frame(bytes)
      await isNamed(t, `${frame}: ${name}`, rig, 'malformed_frame', path, (connection) => {
        if (frame !== 'welcome') connection.welcome()
        connection.frame(bytes)
      })
    }
  }
  t.ok(count > 300, `${count} frames`)
})

void t.test('SDK frames: a frame that ends too early is named, wherever it ends', async (t) => {
  for (const { frame, direction, valid } of vectorFiles()) {
    if (direction !== 'server') continue
    const bytes = valid.find(({ canonical }) => canonical)?.bytes ?? new Uint8Array()
    for (let end = 0; end < bytes.length; end += bytes.length > 200 ? 7 : 1) {
      const rig = await new ClientRig().live()
      const part = bytes.slice(0, end)
      rig.world.now.frame(part)
      await isNamed(t, `${frame}: ${end} of ${bytes.length} bytes`, rig, 'malformed_frame', '', (connection) =>
        connection.welcome().frame(part),
      )
    }
  }
})

void t.test('SDK frames: a right frame at a wrong place is named', async (t) => {
  const data = (prev: number, seq: number, log = LOG): Uint8Array =>
    encodeData({ log, epoch: E1, prev, messages: [wire(seq)] })
  const gap = (log: string): Uint8Array => encodeGap({ log, epoch: E1, from: 1, to: 2, reason: 'overflow' })
  const cases: ReadonlyArray<readonly [what: string, code: 'malformed_frame' | 'sequence_broken', bytes: Uint8Array]> =
    [
      ['data behind what was not told', 'sequence_broken', data(1, 2)],
      ['data of a log that was not named', 'sequence_broken', data(0, 1, 'g:x')],
      ['a gap of a log that was not named', 'sequence_broken', gap('g:x')],
      ['an ack', 'malformed_frame', encodeAck(new Map([[LOG, [E1, 1]]]))],
      ['a second welcome', 'sequence_broken', encodeWelcome({ time: 0, node: 'n', session: 's', logs: new Map() })],
      [
        'more than the window',
        'sequence_broken',
        encodeData({ log: LOG, epoch: E1, prev: 0, messages: Array.from({ length: 4_000 }, (_, i) => wire(i + 1)) }),
      ],
    ]
  for (const [what, code, bytes] of cases) {
    const rig = await new ClientRig({ handler: () => undefined }).live()
    rig.world.now.frame(bytes)
    await isNamed(t, what, rig, code, '', (connection) => connection.welcome().frame(bytes))
  }
  for (const [what, bytes] of [
    ['data', data(0, 1)],
    ['gap', gap(LOG)],
  ] as const) {
    const rig = await accepted()
    rig.world.now.frame(bytes)
    await isNamed(t, `${what} before the welcome`, rig, 'sequence_broken', what, (connection) =>
      connection.frame(bytes),
    )
  }
  t.pass('all named')
})

void t.test('SDK frames: every packet of MQTT that is wrong is named', async (t) => {
  const packets: Array<readonly [what: string, ...bytes: number[]]> = [
    ['reserved type 0', 0x00, 0],
    ['CONNECT', 0x10, 0],
    ['a second CONNACK', 0x20, 2, 0, 0],
    ['a short PUBLISH', 0x30, 1, 0],
    ['PUBLISH with a topic that ends behind it', 0x30, 4, 0, 9, 0x61, 0x62],
    ['PUBLISH with QoS 2', 0x34, 5, 0, 1, 0x61, 0, 1],
    ['PUBLISH with QoS 3', 0x36, 5, 0, 1, 0x61, 0, 1],
    ['PUBLISH with DUP and QoS 0', 0x38, 3, 0, 1, 0x61],
    ['PUBLISH with the packet id 0', 0x32, 5, 0, 1, 0x61, 0, 0],
    ['PUBLISH without a packet id', 0x32, 4, 0, 1, 0x61, 0],
    ['PUBLISH with a topic that is no UTF-8', 0x30, 3, 0, 1, 0xff],
    ['PUBLISH on another topic', 0x30, 3, 0, 1, 0x61],
    ['a short PUBACK', 0x40, 1, 0],
    ['PUBACK with the packet id 0', 0x40, 2, 0, 0],
    ['PUBREC', 0x50, 2, 0, 1],
    ['PUBREL', 0x62, 2, 0, 1],
    ['PUBCOMP', 0x70, 2, 0, 1],
    ['SUBSCRIBE', 0x82, 6, 0, 1, 0, 1, 0x61, 0],
    ['SUBACK without a code', 0x90, 2, 0, 1],
    ['SUBACK with two codes', 0x90, 4, 0, 1, 1, 1],
    ['SUBACK of another packet', 0x90, 3, 0, 7, 1],
    ['UNSUBACK', 0xb0, 2, 0, 1],
    ['PINGREQ', 0xc0, 0],
    ['PINGRESP with a byte', 0xd0, 1, 0],
    ['DISCONNECT', 0xe0, 0],
    ['reserved type 15', 0xf0, 0],
    ['a length of five bytes', 0x30, 0xff, 0xff, 0xff, 0xff, 0x01],
    ['a length over the limit', 0x30, 0xff, 0xff, 0xff, 0x7f],
    ...[0x21, 0x41, 0x91, 0xd1].map((first) => [`flags of type ${first >> 4}`, first, 2, 0, 1] as const),
  ]
  for (const [what, ...bytes] of packets) {
    const rig = await new ClientRig().live()
    rig.world.now.bytes(Uint8Array.from(bytes))
    await isNamed(t, what, rig, 'malformed_frame', '', (connection) =>
      connection.welcome().bytes(Uint8Array.from(bytes)),
    )
  }
  const refused = await accepted()
  refused.world.now.send({ cmd: 'suback', messageId: 1, granted: [0x80] })
  await settle()
  t.equal(refused.ended?.code, 'unsupported_server', 'a subscription that is refused')
})

void t.test('SDK frames: a server that says half of something and then nothing is found out', async (t) => {
  const silent: Readonly<Record<string, (connection: FakeConnection) => void>> = {
    'no CONNACK': () => undefined,
    'half a CONNACK': (connection) => connection.bytes(Uint8Array.of(0x20, 2, 0)),
    'no welcome': (connection) => void connection.accept(),
    'half a welcome': (connection) => connection.accept().bytes(Uint8Array.of(0x32, 100, 0)),
  }
  for (const [what, act] of Object.entries(silent)) {
    const rig = new ClientRig()
    await settle()
    act(rig.world.now.open())
    await rig.advance(15_000)
    t.match(rig.errors, [{ code: 'connect_timeout' }], what)
    t.equal(rig.client.state, 'waiting')
  }
  const rig = await new ClientRig().live()
  rig.world.now.answers = false
  rig.world.now.bytes(Uint8Array.of(0x32, 100, 0))
  await rig.advance(70_000)
  t.match(rig.errors, [{ code: 'ping_timeout' }], 'half a frame')
})

void t.test('SDK frames: any byte of a session may be any other one', async (t) => {
  const { world } = await new ClientRig().live()
  const sent: Uint8Array[] = []
  const recorder = world.now
  const bytes = recorder.bytes.bind(recorder)
  recorder.bytes = (chunk) => {
    sent.push(Uint8Array.from(chunk))
    bytes(chunk)
  }
  recorder.data(0, [1, 2]).gap(3, 4).data(4, [5])
  await settle()
  const session = Uint8Array.from(sent.filter(({ length }) => length > 4).flatMap((chunk) => [...chunk]))
  const codes = new Map<string, number>()
  for (let at = 0; at < session.length; at++) {
    for (const change of [0x01, 0x80, 0xff]) {
      const rig = await new ClientRig().live(0, 5)
      rig.world.now.answers = false
      rig.world.now.bytes(session.map((byte, i) => (i === at ? byte ^ change : byte)))
      await settle()
      const { state } = rig.client
      // A length that grew makes it wait for more: that is found out by a ping.
      if (rig.errors.length === 0) await rig.advance(80_000)
      const code = rig.errors[0]?.code ?? state
      codes.set(code, (codes.get(code) ?? 0) + 1)
      const inOrder = rig.handled.every((seq, i) => i === 0 || seq > (rig.handled[i - 1] ?? 0))
      if (!inOrder) t.fail(`byte ${at} ^ ${change}: handled ${rig.handled.join()}`)
      await rig.client.close()
    }
  }
  t.same(
    [...codes.keys()].filter(
      (code) => !['malformed_frame', 'sequence_broken', 'ping_timeout', 'ack_timeout'].includes(code),
    ),
    [],
    'each is named in the end',
  )
  t.comment(JSON.stringify(Object.fromEntries(codes)))
})
