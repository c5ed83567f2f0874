// The header that a proxy puts in front of a connection to say whom it is for: PROXY protocol, versions 1 (a line of text) and
// 2 (binary), as HAProxy defines them. Pure: it looks at the bytes that came so far.
//
// Only what a stream over TCP can have is taken. Everything that is not exactly of the form is malformed, at the first byte
// that shows it: a connection without the header shall not have to wait for a deadline.

import { isIPv4, isIPv6 } from 'node:net'
import { canonicalAddress } from './address.js'

export type ProxyHeader =
  /** Nothing is wrong yet, more must come. */
  | { readonly state: 'incomplete' }
  | { readonly state: 'malformed' }
  | {
      readonly state: 'complete'
      /** Bytes of the header; what follows belongs to the client. */
      readonly length: number
      /** The client, its address canonical. Null: the proxy speaks for itself (LOCAL) or does not know (UNKNOWN, UNSPEC). */
      readonly source: { readonly address: string; readonly port: number } | null
    }

const INCOMPLETE: ProxyHeader = { state: 'incomplete' }
const MALFORMED: ProxyHeader = { state: 'malformed' }

const V1_START = Buffer.from('PROXY ')
/** With its CR LF. */
const V1_MAX = 107
const CR = 0x0d
const LF = 0x0a

const V2_START = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V2_FIXED = 16
const V2_LOCAL = 0x20
const V2_PROXY = 0x21
const UNSPEC = 0x00
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21
const UNIX_STREAM = 0x31
/** Two addresses, two ports. */
const IPV4_BLOCK = 12
const IPV6_BLOCK = 36
const UNIX_BLOCK = 216

/** Longest header that is read: room for the additions (TLVs) of the known load balancers several times over. */
export const PROXY_HEADER_MAX = 4_096

/** What the first bytes of a connection say. At most PROXY_HEADER_MAX bytes can be `incomplete`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (bytes.length === 0) return INCOMPLETE
  if (bytes[0] === V1_START[0]) return startsLike(bytes, V1_START) ? readV1(bytes) : MALFORMED
  return startsLike(bytes, V2_START) ? readV2(bytes) : MALFORMED
}

/** As far as there are bytes. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

// --- version 1

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.indexOf(CR)
  const line = bytes.subarray(0, end === -1 ? bytes.length : end)
  if (line.length + 2 > V1_MAX || line.some((byte) => byte < 0x20 || byte > 0x7e)) return MALFORMED
  if (end === -1 || bytes.length === end + 1) return INCOMPLETE
  if (bytes[end + 1] !== LF) return MALFORMED
  const source = sourceOfLine(line.toString('latin1'))
  return source === undefined ? MALFORMED : { state: 'complete', length: end + 2, source }
}

type Source = (ProxyHeader & { readonly state: 'complete' })['source']

/** Undefined: malformed. */
function sourceOfLine(line: string): Source | undefined {
  const [, family, ...fields] = line.split(' ')
  // What else the line says is not looked at then.
  if (family === 'UNKNOWN') return null
  const [from = '', to = '', fromPort = '', toPort = ''] = fields
  if (fields.length !== 4 || !isPort(fromPort) || !isPort(toPort)) return undefined
  const fits = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : null
  if (fits === null || !fits(from) || !fits(to)) return undefined
  return { address: canonicalAddress(from) ?? from, port: Number(fromPort) }
}

const isPort = (text: string): boolean => /^(?:0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= 65_535

const isPlainIPv6 = (text: string): boolean => isIPv6(text) && !text.includes('%')

// --- version 2

function readV2(bytes: Buffer): ProxyHeader {
  const command = bytes[12]
  const family = bytes[13]
  if (command === undefined) return INCOMPLETE
  if (command !== V2_LOCAL && command !== V2_PROXY) return MALFORMED
  if (bytes.length < V2_FIXED) return INCOMPLETE
  const length = V2_FIXED + bytes.readUInt16BE(14)
  if (length > PROXY_HEADER_MAX) return MALFORMED
  if (bytes.length < length) return INCOMPLETE
  const block = bytes.subarray(V2_FIXED, length)
  // The proxy's own, such as a health check: its addresses are to be ignored.
  if (command === V2_LOCAL) return { state: 'complete', length, source: null }
  if (family === UNSPEC) return { state: 'complete', length, source: null }
  if (family === TCP_OVER_IPV4) return sourceOfBlock(block, IPV4_BLOCK, length)
  if (family === TCP_OVER_IPV6) return sourceOfBlock(block, IPV6_BLOCK, length)
  // From another process of the proxy's machine: there is no address of a client in it.
  if (family === UNIX_STREAM && areTlvs(block, UNIX_BLOCK)) return { state: 'complete', length, source: null }
  return MALFORMED
}

function sourceOfBlock(block: Buffer, size: typeof IPV4_BLOCK | typeof IPV6_BLOCK, length: number): ProxyHeader {
  if (!areTlvs(block, size)) return MALFORMED
  const width = (size - 4) / 2
  const raw = block.subarray(0, width)
  const address = width === 4 ? raw.join('.') : canonicalAddress(ipv6Text(raw))
  return address === null
    ? MALFORMED
    : { state: 'complete', length, source: { address, port: block.readUInt16BE(2 * width) } }
}

function ipv6Text(raw: Buffer): string {
  return Array.from({ length: 8 }, (_, i) => raw.readUInt16BE(2 * i).toString(16)).join(':')
}

/** What follows the addresses is a row of type, length and value. The values are of no use here. */
function areTlvs(block: Buffer, from: number): boolean {
  let at = from
  while (at + 3 <= block.length) at += 3 + block.readUInt16BE(at + 1)
  return at === block.length
}
