import { assert, array, constantFrom, ipV4, ipV6, oneof, property, string } from 'fast-check'
import t from 'tap'
import { canonicalAddress, formatEndpoint } from '../../core/net/address.js'
import { allowedOrigins, canonicalOrigin, LOOPBACK_ORIGINS } from '../../core/net/origins.js'
import { clientAddress, isProxyRange, NO_PROXIES, trustedProxies } from '../../core/net/trusted-proxies.js'

void t.test('addresses: one spelling for one address', async (t) => {
  for (const [text, expected] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:10.0.0.1', '10.0.0.1'],
    ['::ffff:a00:1', '10.0.0.1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['', null],
    ['10.0.0.256', null],
    ['10.0.0.1:80', null],
    ['localhost', null],
  ] as const) {
    t.equal(canonicalAddress(text), expected, text)
  }
  t.equal(formatEndpoint('10.0.0.1', 80), '10.0.0.1:80')
  t.equal(formatEndpoint('::1', 80), '[::1]:80')
})

void t.test('addresses: the canonical form is its own canonical form', async () => {
  assert(
    property(oneof(ipV4(), ipV6()), (text) => {
      const once = canonicalAddress(text)
      return once !== null && canonicalAddress(once) === once
    }),
  )
})

void t.test('trusted proxies: addresses, ranges and names', async (t) => {
  const trusted = trustedProxies(['10.1.0.0/16', '192.0.2.7', 'fd00::/8', 'loopback'])
  for (const address of ['10.1.2.3', '192.0.2.7', 'fd12::1', '127.0.0.1', '::1']) t.ok(trusted.has(address), address)
  for (const address of ['10.2.0.1', '192.0.2.8', 'fe80::1', '::2', '', 'x']) t.notOk(trusted.has(address), address)
  t.ok(trustedProxies(['0.0.0.0/0']).has('8.8.8.8'))
  t.notOk(trustedProxies(['0.0.0.0/0']).has('2001:db8::1'), 'the other family is another range')
  t.ok(trustedProxies(['::/0']).has('2001:db8::1'))
  for (const good of ['10.0.0.1', '10.0.0.0/0', '::/128', 'uniquelocal', 'linklocal']) t.ok(isProxyRange(good), good)
  for (const bad of [
    'true',
    '1',
    '',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10/8',
    'all',
    'fe80::1%eth0',
    'a.example',
  ]) {
    t.notOk(isProxyRange(bad), bad)
  }
  t.throws(() => trustedProxies(['true']), RangeError)
})

void t.test('trusted proxies: the address of the client behind them', async (t) => {
  const trusted = trustedProxies(['10.0.0.0/8', '::1'])
  const cases: ReadonlyArray<readonly [socket: string, header: string | string[] | undefined, client: string]> = [
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '203.0.113.9', '203.0.113.9'],
    // A client says what it likes in front; only what our own proxies have added counts.
    ['10.0.0.1', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['10.0.0.1', '1.1.1.1, 203.0.113.9, 10.2.2.2', '203.0.113.9'],
    ['10.0.0.1', ['1.1.1.1', '203.0.113.9'], '203.0.113.9'],
    ['10.0.0.1', '10.3.3.3,10.2.2.2', '10.3.3.3'],
    ['203.0.113.1', '1.1.1.1', '203.0.113.1'],
    ['10.0.0.1', '1.1.1.1, nonsense', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1, nonsense, 10.2.2.2', '10.2.2.2'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['::1', '[2001:DB8::9]:4711', '2001:db8::9'],
    ['::1', '::ffff:203.0.113.9', '203.0.113.9'],
    ['', '1.1.1.1', ''],
  ]
  for (const [socket, header, client] of cases) {
    t.equal(clientAddress(socket, header, trusted), client, `${socket} <- ${String(header)}`)
    t.equal(clientAddress(socket, header, NO_PROXIES), socket, 'nobody is trusted')
  }
  t.equal(clientAddress('10.0.0.1', `1.1.1.1${',10.0.0.2'.repeat(100)}`, trusted), '10.0.0.2', 'a way too long')
})

void t.test('trusted proxies: what a client invents in front changes nothing', async () => {
  const trusted = trustedProxies(['10.0.0.0/8'])
  const invented = array(oneof(ipV4(), ipV6(), string(), constantFrom('10.0.0.9', '', ',', 'unknown')))
  assert(
    property(invented, (entries) => {
      const header = [...entries, '203.0.113.9', '10.0.0.2'].join(',')
      return clientAddress('10.0.0.1', header, trusted) === '203.0.113.9'
    }),
  )
})

void t.test('origins: as browsers write them, and no others', async (t) => {
  for (const [text, expected] of [
    ['https://app.example.com', 'https://app.example.com'],
    ['HTTPS://App.Example.com:443', 'https://app.example.com'],
    ['http://localhost:3000', 'http://localhost:3000'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['capacitor://localhost', 'capacitor://localhost'],
    ['*', '*'],
    ['https://app.example.com/', null],
    ['https://app.example.com/path', null],
    ['https://user@app.example.com', null],
    ['https://*.example.com', null],
    ['app.example.com', null],
    ['null', null],
    ['https://', null],
    ['', null],
  ] as const) {
    t.equal(canonicalOrigin(text), expected, text)
  }
  const some = allowedOrigins(['https://app.example.com', 'http://localhost:3000'])
  t.ok(some.limited)
  for (const origin of ['https://app.example.com', 'http://localhost:3000']) t.ok(some.allow(origin), origin)
  for (const origin of [
    'null',
    '*',
    '',
    'http://app.example.com',
    'https://app.example.com.evil.example',
    'https://evil.example',
    'http://localhost:3001',
  ]) {
    t.notOk(some.allow(origin), origin)
  }
  const all = allowedOrigins(['*'])
  t.notOk(all.limited)
  t.ok(all.allow('null'))
})

void t.test('origins: pages of this machine', async (t) => {
  const own = [
    'http://localhost',
    'http://localhost:8080',
    'https://app.localhost:3000',
    'http://127.0.0.1:1',
    'http://[::1]',
  ]
  for (const origin of own) t.ok(LOOPBACK_ORIGINS.allow(origin), origin)
  for (const origin of [
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://evil-localhost',
    'http://localhost@evil.example',
    'http://[::2]',
    'null',
    '',
    'file://',
  ]) {
    t.notOk(LOOPBACK_ORIGINS.allow(origin), origin)
  }
  t.ok(LOOPBACK_ORIGINS.limited)
})
