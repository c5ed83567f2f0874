import { isIP, SocketAddress } from 'node:net'

/**
 * One spelling for one IP address: IPv4 as it is, also when it comes as IPv6 (`::ffff:10.0.0.1`), IPv6 in its shortest form
 * and without a zone. Null: not an address.
 */
export function canonicalAddress(text: string): string | null {
  const kind = isIP(text)
  if (kind === 4) return text
  if (kind === 0) return null
  const [plain = ''] = text.split('%')
  const { address } = new SocketAddress({ address: plain, family: 'ipv6' })
  const mapped = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : ''
  return isIP(mapped) === 4 ? mapped : address
}

/** For logs: `10.0.0.1:80`, `[::1]:80`; without a port that is not known (0). */
export function formatEndpoint(address: string, port: number): string {
  if (port === 0) return address
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
