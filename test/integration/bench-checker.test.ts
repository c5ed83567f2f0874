// The benchmark's checker must see what it exists to see. Ledgers alone first; then real device clients on real sockets,
// against a broker that keeps its promise and brokers that lose, repeat, reorder and misdirect on purpose.
import { createServer, type AddressInfo, type Socket } from 'node:net'
import tap from 'tap'
import { ReceivedLedger, SentLedger, isClean, judge, type Verdict } from '../../bench/lib/checker.js'
import { DeviceFleet } from '../../bench/lib/device-fleet.js'
import { Histogram } from '../../bench/lib/histogram.js'
import { deviceMark, mark, nowMicros, timeMark } from '../../bench/lib/marks.js'
import { PacketReader } from '../../bench/lib/mqtt-codec.js'
import { UsageError, choice, integer, parseOptions } from '../../bench/lib/options.js'

const DEVICE = 7

/** `sent` numbers were given out; these arrived, in this order. */
function verdictOf(
  sent: number,
  arrived: readonly number[],
  prepare: (ledger: SentLedger) => void = () => {},
): Verdict {
  const sending = new SentLedger(DEVICE, 1)
  for (let i = 0; i < sent; i++) sending.next(DEVICE)
  prepare(sending)
  const receiving = new ReceivedLedger(DEVICE, 1)
  for (const number of arrived) receiving.note(DEVICE, number)
  return judge([sending.summary()], [receiving.summary()])
}

const faults = { lost: 0, repeated: 0, reordered: 0, unexpected: 0, foreign: 0 }

void tap.test('bench checker: everything in order is clean', async (t) => {
  const verdict = verdictOf(4, [1, 2, 3, 4])
  t.strictSame(verdict, { accepted: 4, delivered: 4, ...faults })
  t.ok(isClean(verdict))
})

void tap.test('bench checker: lost messages are counted, in the middle, at the end, and all of them', async (t) => {
  t.match(verdictOf(4, [1, 3, 4]), { ...faults, delivered: 3, lost: 1 })
  t.match(verdictOf(4, [1, 2]), { ...faults, delivered: 2, lost: 2 })
  t.match(verdictOf(4, []), { ...faults, delivered: 0, lost: 4 })
  t.notOk(isClean(verdictOf(4, [1, 3, 4])))
})

void tap.test('bench checker: a repeated message is not a second delivery', async (t) => {
  const verdict = verdictOf(3, [1, 2, 2, 3, 1])
  t.match(verdict, { ...faults, delivered: 3, repeated: 2 })
  t.notOk(isClean(verdict))
})

void tap.test('bench checker: a late message is reordered, not lost, and repeated when it comes again', async (t) => {
  t.match(verdictOf(3, [1, 3, 2]), { ...faults, delivered: 3, reordered: 1 })
  t.match(verdictOf(3, [3, 2, 1]), { ...faults, delivered: 3, reordered: 2 })
  t.match(verdictOf(3, [1, 3, 2, 2]), { ...faults, delivered: 3, reordered: 1, repeated: 1 })
  t.notOk(isClean(verdictOf(3, [1, 3, 2])))
})

void tap.test('bench checker: one message lost and another repeated do not cancel out', async (t) => {
  t.match(verdictOf(3, [1, 1, 3]), { ...faults, delivered: 2, lost: 1, repeated: 1 })
})

void tap.test('bench checker: a refused message must not arrive, one without an answer may', async (t) => {
  const refuse = (ledger: SentLedger): void => ledger.refused(DEVICE, 2)
  t.match(verdictOf(3, [1, 3], refuse), { ...faults, accepted: 2, delivered: 2 })
  t.match(verdictOf(3, [1, 2, 3], refuse), { ...faults, accepted: 2, unexpected: 1 })
  const open = (ledger: SentLedger): void => ledger.unknown(DEVICE, 3)
  t.ok(isClean(verdictOf(3, [1, 2], open)))
  t.ok(isClean(verdictOf(3, [1, 2, 3], open)))
})

void tap.test('bench checker: a number that nobody sent is seen', async (t) => {
  t.match(verdictOf(2, [1, 2, 3]), { ...faults, unexpected: 1 })
})

void tap.test('bench checker: ranges split differently on both sides are put together', async (t) => {
  const sending = new SentLedger(0, 4)
  const low = new ReceivedLedger(0, 2)
  const high = new ReceivedLedger(2, 2)
  for (let device = 0; device < 4; device++) {
    const number = sending.next(device)
    if (device !== 3) (device < 2 ? low : high).note(device, number)
  }
  t.match(judge([sending.summary()], [low.summary(), high.summary()]), {
    ...faults,
    accepted: 4,
    delivered: 3,
    lost: 1,
  })
})

/** What a broker sends to a device, one payload after the other. */
type Script = (device: number) => readonly string[]

const publish = (topic: string, packetId: number, payload: string): Buffer => {
  const body = Buffer.concat([
    Buffer.from([0, topic.length]),
    Buffer.from(topic),
    Buffer.from([packetId >> 8, packetId & 255]),
    Buffer.from(payload),
  ])
  return Buffer.concat([Buffer.from([0x32, body.length]), body])
}

/** Accepts any CONNECT and SUBSCRIBE, then follows the script; counts PUBACKs. */
function scripted(script: Script): { listen: () => Promise<number>; acks: () => number; close: () => Promise<void> } {
  let acks = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let device = -1
    const reader = new PacketReader((head, bytes, from, to) => {
      if (head >> 4 === 1) {
        device = Number(Buffer.from(bytes.subarray(from + 12, to)).toString())
        socket.write(Buffer.from([0x20, 2, 0, 0]))
      } else if (head >> 4 === 8) {
        socket.write(Buffer.from([0x90, 3, 0, 1, 1]))
        const packets = script(device).map((payload, i) => publish('inbox/x', i + 1, payload))
        // Cut where no packet ends, so that the client has to put parts together.
        const stream = Buffer.concat(packets)
        socket.write(stream.subarray(0, 50))
        setImmediate(() => socket.write(stream.subarray(50)))
      } else if (head >> 4 === 4) acks++
    })
    socket.on('data', (data) => reader.push(data, data.length))
    socket.on('error', () => {})
  })
  return {
    acks: () => acks,
    listen: () =>
      new Promise((resolve) => {
        server.listen(0, '127.0.0.1', () => {
          const address: AddressInfo | string | null = server.address()
          resolve(typeof address === 'object' && address !== null ? address.port : 0)
        })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

const markFor = (device: number, number: number): string =>
  mark(deviceMark(device), number, timeMark(nowMicros() - 5000))

async function overSockets(
  script: (device: number, numbers: readonly string[]) => readonly string[],
  arrivals: number,
) {
  const devices = 3
  const each = 20
  const sending = new SentLedger(0, devices)
  const marks = Array.from({ length: devices }, (_, device) =>
    Array.from({ length: each }, () => markFor(device, sending.next(device))),
  )
  const broker = scripted((device) => script(device, marks[device] ?? []))
  const port = await broker.listen()
  const fleet = new DeviceFleet({
    host: '127.0.0.1',
    port,
    first: 0,
    count: devices,
    idPrefix: '',
    filterPrefix: 'inbox/',
    streamWindow: null,
    sdk: false,
    password: null,
    clean: true,
    concurrency: 2,
  })
  try {
    const opened = await fleet.open()
    for (;;) {
      const { received, foreign } = fleet.summary()
      if (received + foreign >= arrivals && broker.acks() >= arrivals) break
      await new Promise((resolve) => setImmediate(resolve))
    }
    return {
      opened,
      verdict: judge([sending.summary()], [fleet.summary()]),
      latencies: new Histogram(fleet.read().latencies),
      acks: broker.acks(),
    }
  } finally {
    await fleet.close()
    await broker.close()
  }
}

void tap.test(
  'bench devices: a broker that keeps its promise is clean, every message is acknowledged and timed',
  async (t) => {
    const { opened, verdict, latencies, acks } = await overSockets((_, marks) => marks, 60)
    t.strictSame(opened, { connected: 3, failed: 0, firstError: null })
    t.strictSame(verdict, { accepted: 60, delivered: 60, ...faults })
    t.equal(acks, 60)
    t.equal(latencies.total, 60)
    t.ok(latencies.summary().p50 >= 4.9, 'the marks were 5 ms old when they were sent')
  },
)

void tap.test('bench devices: a broker that loses is caught', async (t) => {
  const { verdict } = await overSockets((_, marks) => marks.filter((_mark, i) => i !== 9), 57)
  t.match(verdict, { ...faults, delivered: 57, lost: 3 })
})

void tap.test('bench devices: a broker that repeats is caught', async (t) => {
  const { verdict } = await overSockets((_, marks) => [...marks, ...marks.slice(-2)], 66)
  t.match(verdict, { ...faults, delivered: 60, repeated: 6 })
})

void tap.test('bench devices: a broker that reorders is caught', async (t) => {
  const { verdict } = await overSockets((_, marks) => [...marks.slice(1), ...marks.slice(0, 1)], 60)
  t.match(verdict, { ...faults, delivered: 60, reordered: 3 })
})

void tap.test('bench devices: a broker that misdirects or mutilates is caught', async (t) => {
  const stray = (device: number, marks: readonly string[]): readonly string[] => [
    ...marks.slice(0, -1),
    markFor((device + 1) % 3, 20),
    '!broken!',
  ]
  const { verdict } = await overSockets(stray, 63)
  t.match(verdict, { ...faults, delivered: 57, lost: 3, foreign: 6 })
})

void tap.test('bench devices: a refused connection is an error, not silence', async (t) => {
  const server = createServer((socket) => socket.once('data', () => socket.end(Buffer.from([0x20, 2, 0, 4]))))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const fleet = new DeviceFleet({
    host: '127.0.0.1',
    port: typeof address === 'object' && address !== null ? address.port : 0,
    first: 0,
    count: 2,
    idPrefix: 'd',
    filterPrefix: 'inbox/',
    streamWindow: null,
    sdk: false,
    password: () => 'wrong',
    clean: true,
    concurrency: 1,
  })
  t.strictSame(await fleet.open(), { connected: 0, failed: 2, firstError: 'CONNACK 4' })
})

void tap.test('bench histogram: quantiles are within two percent, and sums over processes are the whole', async (t) => {
  const [a, b] = [new Histogram(), new Histogram()]
  for (let micros = 1; micros <= 100_000; micros++) (micros % 2 === 0 ? a : b).record(micros)
  a.add(new Histogram(b.counts()))
  t.equal(a.total, 100_000)
  for (const p of [0.01, 0.5, 0.99, 0.999]) {
    const exact = p * 100_000
    t.ok(Math.abs(a.quantile(p) - exact) / exact < 0.02, `p${p * 100}: ${a.quantile(p)}`)
  }
  t.equal(new Histogram().quantile(0.5), 0)
})

void tap.test('bench options: unknown flags and bad values are refused with what would be right', async (t) => {
  const spec = { devices: integer(10, 1, 100, 'devices'), vs: choice('none', ['none', 'other'], 'compare with') }
  t.strictSame(parseOptions(spec, ['--devices', '5', '--vs=other']), { devices: 5, vs: 'other' })
  t.strictSame(parseOptions(spec, []), { devices: 10, vs: 'none' })
  t.throws(() => parseOptions(spec, ['--device', '5']), new UsageError('unknown flag --device'))
  t.throws(() => parseOptions(spec, ['--devices']), new UsageError('--devices needs a value'))
  t.throws(() => parseOptions(spec, ['--devices', '1', '--devices', '2']), new UsageError('--devices is given twice'))
  for (const bad of ['0', '101', 'x', '1.5', '-1', '']) {
    t.throws(() => parseOptions(spec, ['--devices', bad]), {
      message: /--devices .*: expected a whole number from 1 to 100/,
    })
  }
  t.throws(() => parseOptions(spec, ['--vs', 'x']), { message: '--vs x: expected one of none, other' })
})
