// The switch of the test bus: between a node and Redis, every packet with notices is replaced by a beat, which the receiver
// takes for nothing. Redis and the sender see a publication that was heard; the numbers of the stream have no hole.

import { encodePacket } from '../../../core/bus/redis/packet.js'
import type { Rewriter } from './fault-proxy.js'

/** Kind of a packet: its second byte. */
const NOTICES = 0
const BEAT = encodePacket(Buffer.alloc(8), 0, { kind: 'beat' })

export class NoticeSwitch {
  /** True: notices go nowhere. */
  dropping = false
  dropped = 0
  passed = 0

  /** For one connection, from its first byte on. */
  readonly rewriter = (): Rewriter => {
    let rest: Buffer = Buffer.alloc(0)
    return (bytes) => {
      rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
      const out: Buffer[] = []
      let at = 0
      for (;;) {
        const command = commandAt(rest, at)
        if (command === null) break
        out.push(this.#filtered(rest.subarray(at, command.end), command.words))
        at = command.end
      }
      rest = rest.subarray(at)
      return Buffer.concat(out)
    }
  }

  #filtered(raw: Buffer, [name, channel, packet]: readonly Buffer[]): Buffer {
    if (name === undefined || channel === undefined || packet?.[1] !== NOTICES) return raw
    if (name.toString('latin1').toLowerCase() !== 'spublish') return raw
    if (!this.dropping) {
      this.passed++
      return raw
    }
    this.dropped++
    return encodeCommand([name, channel, BEAT])
  }
}

function encodeCommand(words: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)]
  for (const word of words) parts.push(Buffer.from(`$${word.length}\r\n`), word, Buffer.from('\r\n'))
  return Buffer.concat(parts)
}

/** A whole command of Redis' protocol, or null: not all of it is there. */
function commandAt(bytes: Buffer, from: number): { readonly words: readonly Buffer[]; readonly end: number } | null {
  let at = from
  const header = (mark: string): number | null => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return null
    const line = bytes.toString('latin1', at, end)
    if (!line.startsWith(mark)) throw new Error(`no command of Redis: ${line.slice(0, 40)}`)
    at = end + 2
    return Number(line.slice(1))
  }
  if (at >= bytes.length) return null
  const count = header('*')
  if (count === null) return null
  const words: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const length = at < bytes.length ? header('$') : null
    if (length === null || at + length + 2 > bytes.length) return null
    words.push(bytes.subarray(at, at + length))
    at += length + 2
  }
  return { words, end: at }
}
