// PROXY protocol headers as a proxy would write them, and as it never would.

export interface ProxyV2 {
  /** 0: LOCAL, 1: PROXY. */
  readonly command: number
  /** Address family and transport. */
  readonly family: number
  readonly addresses: Uint8Array
  readonly tlvs?: readonly Uint8Array[]
  readonly version?: number
}

export function proxyV2({ command, family, addresses, tlvs = [], version = 2 }: ProxyV2): Buffer {
  const block = Buffer.concat([addresses, ...tlvs])
  const fixed = Buffer.alloc(16)
  fixed.write('\r\n\r\n\0\r\nQUIT\n', 'latin1')
  fixed[12] = (version << 4) | command
  fixed[13] = family
  fixed.writeUInt16BE(block.length, 14)
  return Buffer.concat([fixed, block])
}

export function tlv(type: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value)
  const head = Buffer.from([type, 0, 0])
  head.writeUInt16BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** TCP over IPv4 in version 2. */
export function proxyV2Tcp4(address: string, port: number, tlvs: readonly Uint8Array[] = []): Buffer {
  const addresses = Buffer.alloc(12)
  addresses.set(address.split('.').map(Number), 0)
  addresses.set([127, 0, 0, 1], 4)
  addresses.writeUInt16BE(port, 8)
  return proxyV2({ command: 1, family: 0x11, addresses, tlvs })
}
