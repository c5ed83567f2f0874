// Looks at the bytes of a device before Aedes does. It follows the packet boundaries from the fixed headers and
//
//   - refuses what must not be buffered: anything before CONNECT, lengths over the limits, malformed headers
//     ([MQTT-2.2.2-2], [MQTT-4.8.0-1]);
//   - reads protocol name and level of the CONNECT as soon as they arrive, because Aedes closes without a CONNACK on a level
//     that it does not know;
//   - takes the PUBACKs of the courier's packet ids (0x8000–0xFFFF) out of the stream: the hot path, which never reaches
//     Aedes.
//
// Everything else is passed on byte for byte, in order. A PUBACK overtakes bytes that Aedes has not read yet; that changes
// nothing, because it only says something about messages that were sent before.
//
// After the CONNECT it asks before each packet whether that may begin, and else stops in front of it: the caller goes on with
// the rest later. Of one PUBACK of the courier it does not ask.
//
//   first: TYPE → LENGTH → CONNECT body ─(whole)→ connectComplete, the caller goes on when the device is admitted
//   open:  TYPE → LENGTH → BODY → TYPE …     TYPE ─(0x40)→ PUBACK → TYPE
//   dead:  after a violation, an unacceptable level, or stop(); takes nothing more

export type FrameViolation =
  /** [MQTT-3.1.0-1] */
  | 'not_connect'
  | 'bad_protocol_name'
  /** [MQTT-3.1.0-2] */
  | 'second_connect'
  /** A packet that only servers send. */
  | 'server_packet'
  | 'reserved_type'
  /** [MQTT-2.2.2-1], [MQTT-3.3.1-4] */
  | 'bad_flags'
  | 'bad_length'
  | 'oversize'

/** What the scanner finds, in the order of the bytes. */
export interface FrameSink {
  /** A PUBACK with an id of the courier. */
  acked(packetId: number): void
  /** The next bytes for Aedes; a view into the chunk. */
  forward(bytes: Uint8Array): void
  /** The CONNECT has been forwarded whole. `scan` returns right after it. */
  connectComplete(): void
  /** The CONNECT is of a protocol level other than 4, or of MQIsdp: to be answered CONNACK 1 [MQTT-3.1.2-2]. */
  unacceptableLevel(): void
  violated(violation: FrameViolation): void
  /** A packet that begins with this byte comes next. False: not now; `scan` returns in front of it. */
  mayBegin(first: number): boolean
}

export interface FrameLimits {
  readonly maxControlBytes: number
  readonly maxPublishBytes: number
}

/** First packet id of the couriers; lower ones are Aedes' own. */
export const COURIER_IDS_FROM = 0x8000

const TYPE = 0
const LENGTH = 1
const BODY = 2
const PUBACK = 3
const CONNECT_BODY = 4
const DEAD = 5
type Step = typeof TYPE | typeof LENGTH | typeof BODY | typeof PUBACK | typeof CONNECT_BODY | typeof DEAD

/** Protocol names by their length, as bytes. */
const PROTOCOL_NAMES: Readonly<Record<number, Buffer | undefined>> = {
  4: Buffer.from('MQTT', 'latin1'),
  6: Buffer.from('MQIsdp', 'latin1'),
}
const LEVEL_3_1_1 = 4
/** Variable header and client id length of a CONNECT, [MQTT-3.1.2]. */
const CONNECT_MIN = 12

/** Remaining length that a packet type must have; undefined: any. */
const FIXED_LENGTH: Readonly<Record<number, number | undefined>> = { 4: 2, 5: 2, 6: 2, 7: 2, 12: 0, 14: 0 }

export class FrameScanner {
  #step: Step = TYPE
  #open = false
  /** First byte of the packet under way. */
  #first = 0
  /** Remaining length: the part decoded so far, later what is still to come. */
  #remaining = 0
  /** Bytes seen of the remaining length, of a withheld PUBACK, or of the start of a CONNECT body. */
  #count = 0
  /** First byte of a withheld PUBACK's packet id; length of the protocol name. */
  #scratch = 0
  #packets = 0

  /** Packets whose end was forwarded. */
  get packets(): number {
    return this.#packets
  }

  /** Bytes that the packet under way still lacks, as far as it is known; 0: none is under way. */
  get missing(): number {
    return this.#step === TYPE || this.#step === DEAD ? 0 : Math.max(1, this.#remaining)
  }

  /** Takes nothing more. */
  stop(): void {
    this.#step = DEAD
  }

  /** Scans `chunk`; returns how many bytes it took: all, unless the CONNECT ended, the sink stopped it, or it died. */
  scan(chunk: Uint8Array, limits: FrameLimits, sink: FrameSink): number {
    const end = chunk.length
    let at = 0
    // Start of the bytes that were scanned and not yet forwarded.
    let run = 0
    while (at < end) {
      switch (this.#step) {
        case TYPE: {
          const first = chunk[at] ?? 0
          if (first === 0x40 && this.#open) {
            // The hot path: a whole PUBACK in this chunk.
            if (at + 4 <= end && chunk[at + 1] === 2 && (chunk[at + 2] ?? 0) >= 0x80) {
              if (run < at) sink.forward(chunk.subarray(run, at))
              sink.acked(((chunk[at + 2] ?? 0) << 8) | (chunk[at + 3] ?? 0))
              at += 4
              run = at
              break
            }
            // Withheld until its packet id is known.
            if (run < at) sink.forward(chunk.subarray(run, at))
            run = at
            if (!sink.mayBegin(first)) return at
            this.#count = 0
            this.#step = PUBACK
            run = ++at
            break
          }
          const violation = this.#open ? violationOf(first) : first === 0x10 ? null : 'not_connect'
          if (violation !== null) return this.#die(sink, violation, at)
          if (this.#open && !sink.mayBegin(first)) {
            if (run < at) sink.forward(chunk.subarray(run, at))
            return at
          }
          this.#first = first
          this.#remaining = 0
          this.#count = 0
          this.#step = LENGTH
          at++
          break
        }
        case LENGTH: {
          const byte = chunk[at++] ?? 0
          this.#remaining += (byte & 0x7f) * 2 ** (7 * this.#count)
          this.#count++
          if (byte >= 0x80) {
            if (this.#count === 4) return this.#die(sink, 'bad_length', at) // [MQTT-2.2.3]: at most four bytes
            break
          }
          const violation = lengthViolation(this.#first >> 4, this.#remaining, limits)
          if (violation !== null) return this.#die(sink, violation, at)
          this.#count = 0
          this.#step = this.#open ? (this.#remaining === 0 ? TYPE : BODY) : CONNECT_BODY
          if (this.#step === TYPE) this.#packets++
          break
        }
        case BODY: {
          const taken = Math.min(this.#remaining, end - at)
          at += taken
          this.#remaining -= taken
          if (this.#remaining > 0) break
          this.#step = TYPE
          this.#packets++
          if (this.#open) break
          this.#open = true
          sink.forward(chunk.subarray(run, at))
          sink.connectComplete()
          return at
        }
        case CONNECT_BODY: {
          const verdict = this.#connectByte(chunk[at++] ?? 0)
          this.#remaining--
          if (verdict === 'level') {
            this.#step = DEAD
            sink.unacceptableLevel()
            return at
          }
          if (verdict === 'name') return this.#die(sink, 'bad_protocol_name', at)
          if (verdict === 'fine') this.#step = BODY
          else if (this.#remaining === 0) return this.#die(sink, 'bad_length', at)
          break
        }
        case PUBACK: {
          const byte = chunk[at++] ?? 0
          run = at
          this.#count++
          if (this.#count === 1) {
            if (byte !== 2) return this.#die(sink, 'bad_length', at)
          } else if (this.#count === 2) {
            this.#scratch = byte
          } else {
            this.#step = TYPE
            if (this.#scratch >= 0x80) sink.acked((this.#scratch << 8) | byte)
            else {
              sink.forward(Uint8Array.of(0x40, 2, this.#scratch, byte))
              this.#packets++
            }
          }
          break
        }
        case DEAD:
          return at
      }
    }
    if (run < end && this.#step !== DEAD) sink.forward(chunk.subarray(run, end))
    return end
  }

  /** Reads protocol name and level, byte by byte. */
  #connectByte(byte: number): 'more' | 'fine' | 'level' | 'name' {
    const at = this.#count++
    if (at === 0) return byte === 0 ? 'more' : 'name'
    if (at === 1) {
      this.#scratch = byte
      return PROTOCOL_NAMES[byte] === undefined ? 'name' : 'more'
    }
    const name = PROTOCOL_NAMES[this.#scratch]
    if (at < 2 + this.#scratch) return name?.[at - 2] === byte ? 'more' : 'name'
    return this.#scratch === 4 && byte === LEVEL_3_1_1 ? 'fine' : 'level'
  }

  #die(sink: FrameSink, violation: FrameViolation, at: number): number {
    this.#step = DEAD
    sink.violated(violation)
    return at
  }
}

/** What is wrong with the first byte of a packet after CONNECT. */
function violationOf(first: number): FrameViolation | null {
  const flags = first & 0x0f
  switch (first >> 4) {
    case 1:
      return 'second_connect'
    case 3:
      return (flags & 0x06) === 0x06 ? 'bad_flags' : null
    case 4:
    case 5:
    case 7:
    case 12:
    case 14:
      return flags === 0 ? null : 'bad_flags'
    case 6:
    case 8:
    case 10:
      return flags === 2 ? null : 'bad_flags'
    case 2:
    case 9:
    case 11:
    case 13:
      return 'server_packet'
    default:
      return 'reserved_type'
  }
}

function lengthViolation(type: number, length: number, limits: FrameLimits): FrameViolation | null {
  const fixed = FIXED_LENGTH[type]
  if (fixed !== undefined) return length === fixed ? null : 'bad_length'
  if (length > (type === 3 ? limits.maxPublishBytes : limits.maxControlBytes)) return 'oversize'
  return length < (type === 1 ? CONNECT_MIN : 2) ? 'bad_length' : null
}
