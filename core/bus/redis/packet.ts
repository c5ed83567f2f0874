// What goes over a channel: one packet a publication.
//
//   u8 format, u8 kind, 8 bytes stream, u48 number, additions of a newer version (formats.ts), then by kind:
//   notices  u16 frames, each: u16 notices, each: text device, text epoch, text claim id,
//            u48 seq, u48 at, u48 expiresAt (0: never), u32 length of the message, the message as in a log, with its additions
//   kick     u32 id, u32 milliseconds to answer, u8 reason, text device, text claim id, text node to answer
//   answer   u32 id, u8 done
//   mark     nothing: `number` is the last one that was used, and some packet did not get through
//   beat     nothing: the node hears itself; not numbered
//
// A text is its u16 length and its UTF-8 bytes. A stream is what one process sends to one node; its packets are numbered
// 1, 2, 3 …

import type { Kick, Notice } from '../../ports/bus.js'
import { behindAdditions, FORMAT, NEWEST_FORMAT } from '../../stores/redis/formats.js'
import { decodeBody, encodeBody } from '../../stores/redis/message-codec.js'

const HEAD = 16

const KINDS = ['notices', 'kick', 'answer', 'mark', 'beat'] as const
const REASONS = ['taken_over', 'revoked'] as const satisfies ReadonlyArray<Kick['reason']>

export type PacketBody =
  /** The notices of each `notify`, which its handler gets in one call. */
  | { readonly kind: 'notices'; readonly frames: ReadonlyArray<readonly Notice[]> }
  | {
      readonly kind: 'kick'
      readonly id: number
      readonly timeoutMs: number
      readonly kick: Kick
      readonly from: string
    }
  | { readonly kind: 'answer'; readonly id: number; readonly done: boolean }
  | { readonly kind: 'mark' }
  | { readonly kind: 'beat' }

export type Packet = PacketBody & { readonly stream: string; readonly number: number }

/** A notice as bytes, for `noticesPacket`. */
export function encodeNotice({ device, epoch, claimId, message }: Notice): Buffer {
  const texts = [device, epoch, claimId].map((text) => Buffer.from(text))
  const body = encodeBody(message)
  const out = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + 2 + text.length, 22 + body.length))
  let at = 0
  for (const text of texts) {
    at = out.writeUInt16BE(text.length, at)
    at += text.copy(out, at)
  }
  for (const number of [message.seq, message.at, message.expiresAt ?? 0]) at = out.writeUIntBE(number, at, 6)
  at = out.writeUInt32BE(body.length, at)
  body.copy(out, at)
  return out
}

/** `frames`: the encoded notices of each `notify`, at most 65,535 of both. */
export function noticesPacket(stream: Buffer, number: number, frames: ReadonlyArray<readonly Buffer[]>): Buffer {
  const parts = [head('notices', stream, number), u16(frames.length)]
  for (const notices of frames) parts.push(u16(notices.length), ...notices)
  return Buffer.concat(parts)
}

/** Every other kind. */
export function encodePacket(
  stream: Buffer,
  number: number,
  body: Exclude<PacketBody, { readonly kind: 'notices' }>,
): Buffer {
  const start = head(body.kind, stream, number)
  switch (body.kind) {
    case 'kick': {
      const fixed = Buffer.allocUnsafe(9)
      fixed.writeUInt32BE(body.id, 0)
      fixed.writeUInt32BE(Math.min(Math.max(0, Math.round(body.timeoutMs)), 0xffff_ffff), 4)
      fixed.writeUInt8(REASONS.indexOf(body.kick.reason), 8)
      const texts = [body.kick.device, body.kick.claimId, body.from].flatMap((text) => {
        const bytes = Buffer.from(text)
        return [u16(bytes.length), bytes]
      })
      return Buffer.concat([start, fixed, ...texts])
    }
    case 'answer': {
      const fixed = Buffer.allocUnsafe(5)
      fixed.writeUInt32BE(body.id, 0)
      fixed.writeUInt8(body.done ? 1 : 0, 4)
      return Buffer.concat([start, fixed])
    }
    case 'mark':
    case 'beat':
      return start
    default:
      throw body satisfies never
  }
}

/**
 * `newer`: a version of the program sent it that this one cannot read. Throws RangeError when it is none at all. What it gives keeps views of
 * `bytes`.
 */
export function decodePacket(bytes: Buffer): Packet | 'newer' {
  const format = bytes[0] ?? 0
  if (format > NEWEST_FORMAT) return 'newer'
  if (format < 1 || bytes.length < HEAD) throw new RangeError('no packet of a bus')
  const kind = KINDS[bytes.readUInt8(1)]
  if (kind === undefined && format > FORMAT) return 'newer'
  const stream = bytes.toString('latin1', 2, 10)
  const number = bytes.readUIntBE(10, 6)
  const reader = new Reader(bytes, behindAdditions(bytes, HEAD, format))
  const body = kind === undefined ? null : bodyOf(kind, reader, format)
  if (body === null || !reader.atEnd) throw new RangeError('no packet of a bus')
  return { ...body, stream, number }
}

function bodyOf(kind: PacketBody['kind'], reader: Reader, format: number): PacketBody {
  switch (kind) {
    case 'notices': {
      const frames: Array<readonly Notice[]> = []
      for (let n = reader.uint(2); n > 0; n--) {
        const notices: Notice[] = []
        for (let m = reader.uint(2); m > 0; m--) notices.push(noticeOf(reader, format))
        frames.push(notices)
      }
      return { kind, frames }
    }
    case 'kick': {
      const id = reader.uint(4)
      const timeoutMs = reader.uint(4)
      const reason = REASONS[reader.uint(1)]
      if (reason === undefined) throw new RangeError('a kick for no known reason')
      const kick: Kick = { device: reader.text(), claimId: reader.text(), reason }
      return { kind, id, timeoutMs, kick, from: reader.text() }
    }
    case 'answer':
      return { kind, id: reader.uint(4), done: reader.uint(1) === 1 }
    case 'mark':
    case 'beat':
      return { kind }
    default:
      throw kind satisfies never
  }
}

function noticeOf(reader: Reader, format: number): Notice {
  const [device, epoch, claimId] = [reader.text(), reader.text(), reader.text()]
  const [seq, at, expiresAt] = [reader.uint(6), reader.uint(6), reader.uint(6)]
  const body = reader.bytes(reader.uint(4))
  const known = body.subarray(behindAdditions(body, 0, format))
  const message = decodeBody(known, seq, at, expiresAt === 0 ? null : expiresAt)
  return { device, epoch, claimId, message }
}

class Reader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  uint(size: number): number {
    this.#at += size
    return this.#bytes.readUIntBE(this.#at - size, size)
  }

  bytes(length: number): Buffer {
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError('a packet ends too early')
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  text(): string {
    return this.bytes(this.uint(2)).toString()
  }
}

function head(kind: PacketBody['kind'], stream: Buffer, number: number): Buffer {
  const out = Buffer.allocUnsafe(HEAD)
  out.writeUInt8(FORMAT, 0)
  out.writeUInt8(KINDS.indexOf(kind), 1)
  stream.copy(out, 2, 0, 8)
  out.writeUIntBE(number, 10, 6)
  return out
}

function u16(value: number): Buffer {
  const out = Buffer.allocUnsafe(2)
  out.writeUInt16BE(value, 0)
  return out
}
