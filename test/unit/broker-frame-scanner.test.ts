import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import mqttPacket from 'mqtt-packet'
import t from 'tap'
import { FrameScanner, type FrameSink, type FrameViolation } from '../../broker/frame-scanner.js'

const LIMITS = { maxControlBytes: 65_536, maxPublishBytes: 300_000 }

type Seen = ['acked', number] | ['forward', string] | ['connect'] | ['level'] | ['violated', FrameViolation]

/** What a scanner finds; adjacent forwards are one, because where chunks end must not matter. */
class Recorder implements FrameSink {
  readonly seen: Seen[] = []
  #forwarded: Buffer[] = []

  #flush(): void {
    if (this.#forwarded.length > 0) this.seen.push(['forward', Buffer.concat(this.#forwarded).toString('hex')])
    this.#forwarded = []
  }
  acked(packetId: number): void {
    this.#flush()
    this.seen.push(['acked', packetId])
  }
  forward(bytes: Uint8Array): void {
    this.#forwarded.push(Buffer.from(bytes))
  }
  connectComplete(): void {
    this.#flush()
    this.seen.push(['connect'])
  }
  unacceptableLevel(): void {
    this.#forwarded = []
    this.seen.push(['level'])
  }
  violated(violation: FrameViolation): void {
    this.#forwarded = []
    this.seen.push(['violated', violation])
  }
  mayBegin(): boolean {
    return true
  }
  end(): Seen[] {
    this.#flush()
    return this.seen
  }
}

/** Scans `chunks` one after another, going on after the CONNECT as a connection does. */
function scan(...chunks: Uint8Array[]): Seen[] {
  const scanner = new FrameScanner()
  const recorder = new Recorder()
  for (const chunk of chunks) {
    let rest = chunk
    let dead = false
    while (rest.length > 0 && !dead) {
      rest = rest.subarray(scanner.scan(rest, LIMITS, recorder))
      dead = recorder.seen.some(([kind]) => kind === 'violated' || kind === 'level')
    }
  }
  return recorder.end()
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

const CONNECT = mqttPacket.generate({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clientId: 'phone-1',
  clean: true,
  keepalive: 60,
  username: 'phone-1',
  password: Buffer.from('secret'),
})
const PINGREQ = bytes('c000')
const SUBSCRIBE = mqttPacket.generate({
  cmd: 'subscribe',
  messageId: 7,
  subscriptions: [{ topic: 'inbox/phone-1', qos: 1 }],
})
const puback = (id: number): Buffer => Buffer.from([0x40, 2, id >> 8, id & 0xff])
const publish = (size: number): Buffer =>
  mqttPacket.generate({ cmd: 'publish', topic: 'a/b', qos: 0, dup: false, retain: false, payload: Buffer.alloc(size) })

void t.test('frame scanner: takes the PUBACKs of the courier and passes on the rest in order', async (t) => {
  t.same(scan(CONNECT, Buffer.concat([PINGREQ, puback(0x8001), puback(0xffff), SUBSCRIBE, puback(0x8002), PINGREQ])), [
    ['forward', hex(CONNECT)],
    ['connect'],
    ['forward', hex(PINGREQ)],
    ['acked', 0x8001],
    ['acked', 0xffff],
    ['forward', hex(SUBSCRIBE)],
    ['acked', 0x8002],
    ['forward', hex(PINGREQ)],
  ])
  t.same(scan(CONNECT, puback(0x7fff)), [['forward', hex(CONNECT)], ['connect'], ['forward', '40027fff']], 'Aedes ids')
})

void t.test('frame scanner: stops after the CONNECT', async (t) => {
  const recorder = new Recorder()
  const scanner = new FrameScanner()
  t.equal(scanner.scan(Buffer.concat([CONNECT, PINGREQ]), LIMITS, recorder), CONNECT.length)
  t.same(recorder.end(), [['forward', hex(CONNECT)], ['connect']])
})

void t.test('frame scanner: finds the same wherever the bytes are split', async (t) => {
  const stream = Buffer.concat([CONNECT, puback(0x8123), SUBSCRIBE, puback(5), publish(200), puback(0xfffe), PINGREQ])
  const whole = scan(stream)
  const differs = Array.from(stream.keys()).filter(
    (at) => !isDeepStrictEqual(scan(stream.subarray(0, at), stream.subarray(at)), whole),
  )
  t.same(differs, [], 'places where a split changes something')
  t.same(scan(...Array.from(stream, (byte) => Buffer.from([byte]))), whole, 'byte by byte')
})

void t.test('frame scanner: any packets in any pieces come out whole and in order', async () => {
  const packet = fc.oneof(
    fc.integer({ min: 0, max: 0xffff }).map(puback),
    fc.integer({ min: 0, max: 20_000 }).map(publish),
    fc.constantFrom(PINGREQ, SUBSCRIBE),
  )
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 30 }), fc.array(fc.nat(), { maxLength: 20 }), (packets, cuts) => {
      const stream = Buffer.concat([CONNECT, ...packets])
      const places = [...new Set(cuts.map((cut) => cut % stream.length))].toSorted((a, b) => a - b)
      const pieces = [...places, stream.length].map((end, i) => stream.subarray(places[i - 1] ?? 0, end))
      const recorder = new Recorder()
      recorder.forward(CONNECT)
      recorder.connectComplete()
      for (const each of packets) {
        if (each[0] === 0x40 && (each[2] ?? 0) >= 0x80) recorder.acked(each.readUInt16BE(2))
        else recorder.forward(each)
      }
      return isDeepStrictEqual(scan(...pieces), recorder.end())
    }),
    { numRuns: 200 },
  )
})

void t.test('frame scanner: never throws on garbage, and takes nothing after a violation', async () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), (connected, pieces) => {
      const seen = scan(...(connected ? [CONNECT, ...pieces] : pieces))
      const end = seen.findIndex(([kind]) => kind === 'violated' || kind === 'level')
      return end === -1 || end === seen.length - 1
    }),
    { numRuns: 500 },
  )
})

void t.test('frame scanner: refuses protocol levels other than 4 as soon as they are read', async (t) => {
  const level = (name: string, byte: number): Buffer =>
    Buffer.concat([Buffer.from([0x10, 40, 0, name.length]), Buffer.from(name), Buffer.from([byte])])
  for (const byte of [0, 3, 5, 6, 0x84, 255]) t.same(scan(level('MQTT', byte)).at(-1), ['level'], `MQTT ${byte}`)
  t.same(scan(level('MQIsdp', 3)).at(-1), ['level'])
  t.same(scan(level('MQTt', 4)).at(-1), ['violated', 'bad_protocol_name'])
  t.same(scan(level('HTTP2', 4)).at(-1), ['violated', 'bad_protocol_name'])
})

void t.test('frame scanner: names what is wrong', async (t) => {
  const before: Array<[string, FrameViolation]> = [
    ['c000', 'not_connect'],
    ['474554202f20485454502f312e31', 'not_connect'],
    ['1100', 'not_connect'],
    ['10ffffffff7f', 'bad_length'],
    ['108080808001', 'bad_length'],
    ['10818004', 'oversize'],
    ['100b00044d515454', 'bad_length'],
  ]
  for (const [text, violation] of before) t.same(scan(bytes(text)).at(-1), ['violated', violation], text)
  const after: Array<[string, FrameViolation]> = [
    [hex(CONNECT), 'second_connect'],
    ['2002 0000', 'server_packet'],
    ['d000', 'server_packet'],
    ['0000', 'reserved_type'],
    ['f000', 'reserved_type'],
    ['52020001', 'bad_flags'],
    ['5003000100', 'bad_length'],
    ['72020001', 'bad_flags'],
    ['7003000100', 'bad_length'],
    ['3600', 'bad_flags'],
    ['41028001', 'bad_flags'],
    ['8003', 'bad_flags'],
    ['c100', 'bad_flags'],
    ['c001', 'bad_length'],
    ['4003800100', 'bad_length'],
    ['82ffff7f', 'oversize'],
    ['30ffffff7f', 'oversize'],
  ]
  for (const [text, violation] of after) t.same(scan(CONNECT, bytes(text)).at(-1), ['violated', violation], text)
})
