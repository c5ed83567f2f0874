// How many CONNECTs are let through, and how many connections there may be: of the node, of an address, of a device.

import { addressKey } from '../core/limits/address-key.js'
import { RateTable } from '../core/limits/rate-table.js'
import { TokenBucket } from '../core/limits/token-bucket.js'
import type { ConnectExcess } from './connect-policy.js'
import type { BrokerLimits } from './limits.js'

export type GateLimits = Pick<
  BrokerLimits,
  'maxConnections' | 'maxConnectionsPerAddress' | 'connects' | 'connectsPerAddress' | 'connectsPerDevice'
>

export class ConnectGate {
  readonly #limits: GateLimits
  readonly #ofNode: TokenBucket
  readonly #ofAddresses: RateTable
  readonly #ofDevices: RateTable
  /** Connections by address; empty unless they are limited. No larger than the connections. */
  readonly #addresses = new Map<string, number>()
  #connections = 0

  /** `now` here and below: monotonic milliseconds. */
  constructor(limits: GateLimits, now: number) {
    this.#limits = limits
    this.#ofNode = new TokenBucket(limits.connects, now)
    this.#ofAddresses = new RateTable(limits.connectsPerAddress)
    this.#ofDevices = new RateTable(limits.connectsPerDevice)
  }

  /** Counts a CONNECT that nothing is known about yet. Not null: the limit that it is over. */
  connect(address: string, now: number): ConnectExcess | null {
    const { maxConnections, maxConnectionsPerAddress, connects } = this.#limits
    // The address first: whoever is over its own rate uses up none of the node's.
    if (this.#ofAddresses.limits && !this.#ofAddresses.take(addressKey(address), now)) return 'address_rate'
    if (!this.#ofNode.take(connects, now)) return 'node_rate'
    if (this.#connections >= maxConnections) return 'overloaded'
    if (maxConnectionsPerAddress === 0) return null
    return (this.#addresses.get(addressKey(address)) ?? 0) >= maxConnectionsPerAddress ? 'address_connections' : null
  }

  /** Counts a CONNECT of a device whose credentials are good; false: it is one too many. */
  connectOf(device: string, now: number): boolean {
    return this.#ofDevices.take(device, now)
  }

  /** There is a connection more; `leave` once when it has ended. */
  enter(address: string): void {
    this.#connections++
    if (this.#limits.maxConnectionsPerAddress > 0) this.#add(addressKey(address), 1)
  }

  leave(address: string): void {
    this.#connections--
    if (this.#limits.maxConnectionsPerAddress > 0) this.#add(addressKey(address), -1)
  }

  #add(key: string, change: 1 | -1): void {
    const count = (this.#addresses.get(key) ?? 0) + change
    if (count === 0) this.#addresses.delete(key)
    else this.#addresses.set(key, count)
  }
}
