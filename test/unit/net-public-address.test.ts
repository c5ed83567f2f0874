import t from 'tap'
import { reachableAddresses } from '../../core/net/public-address.js'
import { NO_PROXIES, trustedProxies } from '../../core/net/trusted-proxies.js'

t.test('public addresses: what is this machine, its network or nobody is refused, in any spelling', async (t) => {
  const reachable = reachableAddresses(NO_PROXIES)
  const refused = [
    '0.0.0.0',
    '0.1.2.3',
    '10.0.0.1',
    '10.255.255.255',
    '100.64.0.1',
    '100.127.255.255',
    '127.0.0.1',
    '127.9.9.9',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.88.99.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.9',
    '224.0.0.1',
    '239.1.1.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
    '::ffff:169.254.169.254',
    '::127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b::10.0.0.1',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::1',
    '2001:10::1',
    '2001:20::1',
    '3fff::1',
    '4000::1',
    '5f00::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    '',
    'localhost',
    '127.1',
    '0x7f000001',
    '2130706433',
  ]
  for (const address of refused) t.notOk(reachable.has(address), address)
})

t.test('public addresses: others are taken', async (t) => {
  const reachable = reachableAddresses(NO_PROXIES)
  const taken = [
    '1.1.1.1',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.1',
    '169.253.1.1',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.1.1',
    '198.17.1.1',
    '198.20.0.0',
    '223.255.255.255',
    '::ffff:1.1.1.1',
    '2606:4700:4700::1111',
    '2a00:1450::1',
    '2003::1',
  ]
  for (const address of taken) t.ok(reachable.has(address), address)
})

t.test('public addresses: what is allowed is taken, and nothing else', async (t) => {
  const reachable = reachableAddresses(trustedProxies(['10.1.0.0/16', '::1', 'loopback']))
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '127.0.0.1', '::1', '1.1.1.1'])
    t.ok(reachable.has(address), address)
  for (const address of ['10.2.0.1', '192.168.0.1', 'fd00::1']) t.notOk(reachable.has(address), address)
})
