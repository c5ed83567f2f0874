// What the tests of uplink share: a node that takes as much from a device as comes, a store that can be stopped, and words.

import type { IConnectPacket, IPublishPacket, Packet } from 'mqtt-packet'
import type { Test } from 'tap'
import { StoreUnavailable } from '../../../core/errors.js'
import { UNLIMITED } from '../../../core/limits/token-bucket.js'
import type { StoredUplink, Uplink } from '../../../core/ports/uplink.js'
import { readLog, text } from '../../conformance/uplink/words.js'
import { startNode, type TestNode, type TestNodeOptions } from './node.js'
import { RawClient } from './raw-client.js'

const FAST = { publishesPerDevice: UNLIMITED, packetsPerDevice: UNLIMITED, bytesPerDevice: UNLIMITED }

/** A node that takes as much from a device as comes. */
export function startFast(t: Test, options: TestNodeOptions = {}): Promise<TestNode> {
  return startNode(t, { ...options, broker: { ...options.broker, limits: { ...FAST, ...options.broker?.limits } } })
}

/** A store that answers when it is let, and can be made to refuse. */
export class Gate {
  #waiting: Array<() => void> = []
  #closed = false
  refusing = false
  calls = 0

  readonly wrap = (uplink: Uplink): Pick<Uplink, 'append'> => ({
    append: async (items) => {
      this.calls++
      if (this.#closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
      if (this.refusing) throw new StoreUnavailable('the test says so')
      return uplink.append(items)
    },
  })

  close(): void {
    this.#closed = true
  }

  open(): void {
    this.#closed = false
    for (const go of this.#waiting.splice(0)) go()
  }
}

export const publish = (
  payload: string | Buffer,
  messageId: number,
  fields: Partial<IPublishPacket> = {},
): IPublishPacket => ({
  cmd: 'publish',
  topic: 'uplink/d/c',
  qos: messageId === 0 ? 0 : 1,
  messageId,
  dup: false,
  retain: false,
  payload,
  ...fields,
})

export const connected = async (
  node: TestNode,
  device = 'd',
  options: Partial<IConnectPacket> = {},
): Promise<RawClient> => RawClient.as(node.mqtt, device, await node.token(device), options)

export const uplinkLog = (node: TestNode): Promise<StoredUplink[]> => readLog(node.store.uplink)

export const texts = async (node: TestNode, device = 'd'): Promise<string[]> =>
  (await uplinkLog(node)).filter((u) => u.device === device).map(text)

export const pubacks = ({ packets }: RawClient): number[] =>
  packets.flatMap((packet: Packet) => (packet.cmd === 'puback' ? [packet.messageId ?? 0] : []))

/** 1, 2, … as text. */
export const numbers = (count: number, from = 1): string[] => Array.from({ length: count }, (_, i) => String(from + i))
