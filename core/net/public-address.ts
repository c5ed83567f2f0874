// Which addresses a server may be sent to on somebody else's word: public ones. Everything that is this machine, its network or
// nobody is refused, so that a URL cannot be used to reach what only this server can reach.

import { BlockList, isIP } from 'node:net'
import { canonicalAddress } from './address.js'
import type { TrustedProxies } from './trusted-proxies.js'

/** IANA's registry of special addresses, and multicast. */
const SPECIAL_IPV4: ReadonlyArray<readonly [network: string, prefix: number]> = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10], // carrier-grade NAT
  ['127.0.0.0', 8],
  ['169.254.0.0', 16], // link-local; the metadata services of clouds
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4], // and 255.255.255.255
]

/** Outside 2000::/3 nothing of IPv6 is public; these are inside. Tunnels among them: they lead to any IPv4 address. */
const SPECIAL_IPV6: ReadonlyArray<readonly [network: string, prefix: number]> = [
  ['2001::', 23], // Teredo, ORCHID and others
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4
  ['3fff::', 20],
]

function listOf(networks: typeof SPECIAL_IPV4, kind: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of networks) list.addSubnet(network, prefix, kind)
  return list
}

export interface ReachableAddresses {
  /** Whether a connection to the address (any spelling) may be made. False for what is no address. */
  has(address: string): boolean
}

/** Public addresses, and those that `allowed` has. */
export function reachableAddresses(allowed: TrustedProxies): ReachableAddresses {
  const special4 = listOf(SPECIAL_IPV4, 'ipv4')
  const special6 = listOf(SPECIAL_IPV6, 'ipv6')
  const global6 = listOf([['2000::', 3]], 'ipv6')
  return {
    has(text) {
      // An IPv4 address that comes as IPv6 is looked at as what it is.
      const address = canonicalAddress(text)
      if (address === null) return false
      if (allowed.has(address)) return true
      return isIP(address) === 4
        ? !special4.check(address, 'ipv4')
        : global6.check(address, 'ipv6') && !special6.check(address, 'ipv6')
    },
  }
}
