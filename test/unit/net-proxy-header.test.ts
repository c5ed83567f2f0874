import {
  assert,
  array,
  constantFrom,
  integer,
  ipV4,
  ipV6,
  oneof,
  property,
  record,
  uint8Array,
  type Arbitrary,
} from 'fast-check'
import t from 'tap'
import { canonicalAddress } from '../../core/net/address.js'
import { PROXY_HEADER_MAX, readProxyHeader, type ProxyHeader } from '../../core/net/proxy-header.js'
import { proxyV2, tlv, type ProxyV2 } from '../support/proxy-header.js'

const line = (text: string): Buffer => Buffer.from(text, 'latin1')
const stateOf = (bytes: Buffer): string => readProxyHeader(bytes).state

/** The header as it is read when each byte comes alone; fails when it is not `incomplete` until its last byte. */
function byteByByte(bytes: Buffer): ProxyHeader {
  for (let n = 0; n < bytes.length; n++) {
    const header = readProxyHeader(bytes.subarray(0, n))
    if (header.state !== 'incomplete') return header
  }
  return readProxyHeader(bytes)
}

void t.test('proxy header: version 1', async (t) => {
  const cases: ReadonlyArray<readonly [text: string, source: object | null]> = [
    ['PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n', { address: '203.0.113.9', port: 4711 }],
    ['PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n', { address: '255.255.255.255', port: 65_535 }],
    ['PROXY TCP6 2001:DB8:0:0::9 ::1 4711 1883\r\n', { address: '2001:db8::9', port: 4711 }],
    ['PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n', { address: '203.0.113.9', port: 1 }],
    ['PROXY UNKNOWN\r\n', null],
    ['PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n', null],
  ]
  for (const [text, source] of cases) {
    t.same(byteByByte(line(text)), { state: 'complete', length: text.length, source }, text)
    t.match(readProxyHeader(line(`${text}PROXY `)), { length: text.length }, 'what follows is not the header')
  }
})

void t.test('proxy header: version 1 that is not exactly right is malformed', async (t) => {
  for (const text of [
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\n\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\rX',
    'PROXY  TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXY TCP4  203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883 \r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883 9\r\n',
    'PROXY TCP4 203.0.113.999 10.0.0.1 4711 1883\r\n',
    'PROXY TCP4 203.0.113.09 10.0.0.1 4711 1883\r\n',
    'PROXY TCP4 ::1 ::1 4711 1883\r\n',
    'PROXY TCP6 203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 4711 1883\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 65536 1883\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 04711 1883\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 +471 1883\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 -1\r\n',
    'PROXY TCP4 203.0.113.9 10.0.0.1 4711 \r\n',
    'PROXY UDP4 203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXY UNKNOWNX\r\n',
    'PROXY \r\n',
    'PROXY TCP4\t203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXY TCP4 203.0.113.9\0 10.0.0.1 4711 1883\r\n',
    'proxy TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n',
    'PROXX',
    'PRI * HTTP/2.0\r\n',
    'GET /mqtt HTTP/1.1\r\n',
  ]) {
    t.equal(stateOf(line(text)), 'malformed', text)
  }
  t.equal(stateOf(line(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`)), 'complete', '107 bytes')
  t.equal(stateOf(line(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)), 'malformed', '108 bytes')
  t.equal(stateOf(line(`PROXY UNKNOWN ${'x'.repeat(91)}`)), 'incomplete', 'its end can still come')
  t.equal(stateOf(line(`PROXY UNKNOWN ${'x'.repeat(92)}`)), 'malformed', 'it can be right no more')
})

void t.test('proxy header: other protocols are told at their first byte', async (t) => {
  t.equal(stateOf(Buffer.from([0x10])), 'malformed', 'MQTT')
  t.equal(stateOf(Buffer.from([0x16])), 'malformed', 'TLS')
  t.equal(stateOf(line('G')), 'malformed', 'HTTP')
  t.equal(stateOf(line('P')), 'incomplete')
  t.equal(stateOf(line('PO')), 'malformed', 'POST')
  t.equal(stateOf(line('\r\n\r\n\0\r\nQUIT')), 'incomplete')
  t.equal(stateOf(line('\r\n\r\n\0\r\nQUIT\r')), 'malformed')
})

const TCP4: ProxyV2 = {
  command: 1,
  family: 0x11,
  addresses: Buffer.from([203, 0, 113, 9, 10, 0, 0, 1, 18, 103, 7, 91]),
}

void t.test('proxy header: version 2', async (t) => {
  const ipv6 = Buffer.alloc(36)
  ipv6.writeUInt16BE(0x2001, 0)
  ipv6.writeUInt16BE(9, 14)
  ipv6.writeUInt16BE(4711, 32)
  const cases: ReadonlyArray<readonly [what: string, header: ProxyV2, source: object | null]> = [
    ['TCP over IPv4', TCP4, { address: '203.0.113.9', port: 4711 }],
    ['with TLVs', { ...TCP4, tlvs: [tlv(1, 'mqtt'), tlv(4, ''), tlv(0x20, Buffer.alloc(300))] }, { port: 4711 }],
    ['TCP over IPv6', { command: 1, family: 0x21, addresses: ipv6 }, { address: '2001::9', port: 4711 }],
    ['LOCAL', { command: 0, family: 0, addresses: Buffer.alloc(0) }, null],
    ['LOCAL with addresses that mean nothing', { ...TCP4, command: 0, family: 0x99 }, null],
    ['UNSPEC', { command: 1, family: 0, addresses: Buffer.from('anything') }, null],
    ['a Unix socket', { command: 1, family: 0x31, addresses: Buffer.alloc(216) }, null],
  ]
  for (const [what, header, source] of cases) {
    const bytes = proxyV2(header)
    t.match(byteByByte(bytes), { state: 'complete', length: bytes.length, source }, what)
    t.match(readProxyHeader(Buffer.concat([bytes, bytes])), { length: bytes.length }, 'what follows is not the header')
  }
})

void t.test('proxy header: version 2 that is not exactly right is malformed', async (t) => {
  const cases: ReadonlyArray<readonly [what: string, bytes: Buffer]> = [
    ['version 1', proxyV2({ ...TCP4, version: 1 })],
    ['version 3', proxyV2({ ...TCP4, version: 3 })],
    ['an unknown command', proxyV2({ ...TCP4, command: 2 })],
    ['UDP', proxyV2({ ...TCP4, family: 0x12 })],
    ['an unknown family', proxyV2({ ...TCP4, family: 0x41 })],
    ['IPv4 without a transport', proxyV2({ ...TCP4, family: 0x10 })],
    ['too few bytes for its addresses', proxyV2({ ...TCP4, addresses: TCP4.addresses.subarray(1) })],
    ['IPv6 with the addresses of IPv4', proxyV2({ ...TCP4, family: 0x21 })],
    ['a TLV that is cut off', proxyV2({ ...TCP4, tlvs: [tlv(1, 'mqtt').subarray(0, 5)] })],
    ['half the head of a TLV', proxyV2({ ...TCP4, tlvs: [Buffer.from([1, 0])] })],
    ['longer than is read', proxyV2({ ...TCP4, tlvs: [tlv(4, Buffer.alloc(PROXY_HEADER_MAX))] })],
  ]
  for (const [what, bytes] of cases) t.equal(stateOf(bytes), 'malformed', what)
  const long = proxyV2({ ...TCP4, tlvs: [tlv(4, Buffer.alloc(PROXY_HEADER_MAX))] })
  t.equal(stateOf(long.subarray(0, 16)), 'malformed', 'and its length tells it, not its bytes')
})

const addressPair = oneof(
  record({ family: constantFrom('TCP4'), from: ipV4(), to: ipV4() }),
  record({ family: constantFrom('TCP6'), from: ipV6(), to: ipV6() }),
)
const port = integer({ min: 0, max: 65_535 })

void t.test('proxy header: any version 1 header is read as it was written, whatever follows', async () => {
  assert(
    property(addressPair, port, port, uint8Array({ maxLength: 40 }), ({ family, from, to }, source, target, rest) => {
      const text = line(`PROXY ${family} ${from} ${to} ${source} ${target}\r\n`)
      const header = readProxyHeader(Buffer.concat([text, rest]))
      return (
        header.state === 'complete' &&
        header.length === text.length &&
        header.source?.port === source &&
        header.source.address === canonicalAddress(from) &&
        stateOf(text.subarray(0, -1)) === 'incomplete'
      )
    }),
  )
})

/** Bytes near to a header: a good one with some bytes changed, taken out or added. */
const nearly: Arbitrary<Buffer> = record({
  base: constantFrom(
    line('PROXY TCP4 203.0.113.9 10.0.0.1 4711 1883\r\n'),
    line('PROXY UNKNOWN\r\n'),
    proxyV2(TCP4),
    proxyV2({ ...TCP4, tlvs: [tlv(1, 'mqtt'), tlv(2, 'example.com')] }),
    proxyV2({ command: 0, family: 0, addresses: Buffer.alloc(0) }),
  ),
  changes: array(
    record({ at: integer({ min: 0, max: 80 }), bytes: uint8Array({ maxLength: 3 }), cut: integer({ min: 0, max: 3 }) }),
    {
      maxLength: 4,
    },
  ),
}).map(({ base, changes }) =>
  changes.reduce(
    (bytes, { at, bytes: added, cut }) => Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + cut)]),
    base,
  ),
)

void t.test('proxy header: whatever comes is told soon, and the same whether it comes whole or in pieces', async () => {
  const bytes = oneof(
    nearly,
    uint8Array({ maxLength: 64 }).map((raw) => Buffer.from(raw)),
  )
  assert(
    property(bytes, (raw) => {
      const whole = readProxyHeader(raw)
      let decided: ProxyHeader | null = null
      for (let n = 0; n <= raw.length && decided === null; n++) {
        const header = readProxyHeader(raw.subarray(0, n))
        if (header.state !== 'incomplete') decided = header
        else if (n >= PROXY_HEADER_MAX) return false
      }
      return JSON.stringify(decided ?? { state: 'incomplete' }) === JSON.stringify(whole)
    }),
    { numRuns: process.env['CI_LONG'] === '1' ? 200_000 : 2_000 },
  )
})
