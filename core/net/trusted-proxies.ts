// Whose word about a client's address is taken. Pure.

import { BlockList, isIP } from 'node:net'
import { canonicalAddress } from './address.js'

export interface TrustedProxies {
  /** Whether this address (in its canonical form) is a proxy whose word counts. */
  has(address: string): boolean
}

/** Nobody's word counts: a client's address is that of its socket. */
export const NO_PROXIES: TrustedProxies = { has: () => false }

/** Names for ranges that nobody remembers. */
const NAMED_RANGES: ReadonlyMap<string, readonly string[]> = new Map([
  ['loopback', ['127.0.0.0/8', '::1']],
  ['linklocal', ['169.254.0.0/16', 'fe80::/10']],
  ['uniquelocal', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']],
])

export const TRUSTED_PROXIES_RULE =
  'addresses or ranges such as 10.0.0.5, 10.0.0.0/8 or fd00::/8, or loopback, linklocal, uniquelocal (0.0.0.0/0 and ::/0: everybody)'

interface Range {
  readonly address: string
  /** Bits. */
  readonly prefix: number
}

/** `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`; null: no such range. */
function rangeOf(text: string): Range | null {
  const [, host = '', bits] = /^([^/%]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? []
  const kind = isIP(host)
  if (kind === 0) return null
  const width = kind === 4 ? 32 : 128
  const prefix = bits === undefined ? width : Number(bits)
  return prefix <= width ? { address: host, prefix } : null
}

/** True for an address, a range or one of the names. */
export function isProxyRange(text: string): boolean {
  return NAMED_RANGES.has(text) || rangeOf(text) !== null
}

/** RangeError: an item that `isProxyRange` does not take. */
export function trustedProxies(items: readonly string[]): TrustedProxies {
  const list = new BlockList()
  for (const text of items.flatMap((item) => NAMED_RANGES.get(item) ?? [item])) {
    const range = rangeOf(text)
    if (range === null) throw new RangeError(`${text} is not an address or a range of addresses`)
    list.addSubnet(range.address, range.prefix, isIP(range.address) === 4 ? 'ipv4' : 'ipv6')
  }
  return {
    has(address) {
      const kind = isIP(address)
      return kind !== 0 && list.check(address, kind === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** Hops that are looked at; a longer way is no way. */
const HOPS_MAX = 32

/** An entry of X-Forwarded-For, some proxies add the port: `10.0.0.1:80`, `[::1]:80`. Null: no address. */
function forwardedAddress(entry: string): string | null {
  const text = entry.trim()
  const [, host] = /^\[([^\]]+)\](?::[0-9]{1,5})?$/.exec(text) ?? /^([0-9.]+):[0-9]{1,5}$/.exec(text) ?? []
  return canonicalAddress(host ?? text)
}

/**
 * The client's address: that of the socket, or, as long as whoever says so is trusted, the one before it in X-Forwarded-For,
 * read from its end. An entry that is no address ends the way: what lies before it could be anybody's invention.
 * `forwardedFor`: the header, or its lines.
 */
export function clientAddress(
  socketAddress: string,
  forwardedFor: string | readonly string[] | undefined,
  trusted: TrustedProxies,
): string {
  let address = socketAddress
  if (forwardedFor === undefined || !trusted.has(address)) return address
  const entries = (typeof forwardedFor === 'string' ? forwardedFor : forwardedFor.join(',')).split(',')
  for (const entry of entries.slice(-HOPS_MAX).toReversed()) {
    const before = forwardedAddress(entry)
    if (before === null) return address
    address = before
    if (!trusted.has(address)) return address
  }
  return address
}
