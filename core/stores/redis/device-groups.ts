// Calls on many devices at one time (lua/lib/many.lua). One server takes many devices in one script call, which costs both
// sides far less than a call each; each device is an atomic step of its own all the same. On a cluster every device has a
// slot of its own, and so a call of its own.

import type { Argument } from './connections.js'
import { timeArgument, type StoreContext } from './device-scripts.js'
import { deviceKeys } from './keys.js'
import { bytesOf } from './reply.js'
import type { ScriptName } from './script-loader.js'

/** Of one call. Everything else waits while Redis works on it, for a millisecond or so. */
const GROUP_DEVICES = 64
const GROUP_BYTES = 256 * 1024

const FAILED = 255

/** What a call brings for one device. */
export interface DevicePart {
  readonly device: string
  /** How many bytes `write` writes. */
  readonly bytes: number
  /** Writes itself at `at`. */
  write(out: Buffer, at: number): unknown
}

/** In the order given. `together`: one call may take several devices. */
export function groupsOf<T extends DevicePart>(parts: readonly T[], together: boolean): ReadonlyArray<readonly T[]> {
  if (!together) return parts.map((part) => [part])
  const groups: T[][] = []
  let group: T[] = []
  let bytes = 0
  for (const part of parts) {
    if (group.length === 0 || group.length === GROUP_DEVICES || bytes + part.bytes > GROUP_BYTES) {
      groups.push((group = []))
      bytes = 0
    }
    group.push(part)
    bytes += part.bytes
  }
  return groups
}

/** Runs a script on a group. `durable`: the answer waits for `--redis-wait` replicas. Rejects with what ioredis says. */
export async function runGroup(
  context: StoreContext,
  name: ScriptName,
  group: readonly DevicePart[],
  args: readonly Argument[],
  durable: boolean,
): Promise<PackedReply> {
  const { connections, scripts } = context
  const keys: string[] = []
  let length = 0
  for (const { device, bytes } of group) {
    keys.push(...deviceKeys(device))
    length += 4 + bytes
  }
  // The devices of a group write their events to one place.
  keys.push(context.eventsKey(group[0]?.device ?? ''))
  const data = Buffer.allocUnsafe(length)
  let at = 0
  for (const part of group) {
    at = data.writeUInt32BE(part.bytes, at)
    part.write(data, at)
    at += part.bytes
  }
  const reply = await connections.run({
    script: scripts(name),
    keys,
    args: [timeArgument(context), ...args, data],
    durable,
  })
  return new PackedReply(bytesOf(reply))
}

/** Reads an answer from its beginning to its end. */
export class PackedReply {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** The failure of the next device; null: it has none, and its answer follows. */
  failure(): Error | null {
    if (this.#bytes[this.#at] !== FAILED) return null
    this.#at++
    return new Error(this.text())
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#at++)
  }

  uint48(): number {
    this.#at += 6
    return this.#bytes.readUIntBE(this.#at - 6, 6)
  }

  text(): string {
    const length = this.#bytes.readUInt16BE(this.#at)
    this.#at += 2 + length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }
}
