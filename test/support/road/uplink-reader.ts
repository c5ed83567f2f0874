// What a backend sees of uplink.

import type { TestServer } from '../server.js'

export interface UplinkEntry {
  readonly id: string
  readonly device: string
  readonly channel: string
  readonly will: boolean
  readonly payload: string
}

const isEntry = (value: unknown): value is UplinkEntry =>
  typeof value === 'object' && value !== null && 'id' in value && 'device' in value && 'payload' in value

/** A backend that reads on from the last uplink that it has. */
export class UplinkReader {
  readonly #server: TestServer
  readonly entries: UplinkEntry[] = []

  constructor(server: TestServer) {
    this.#server = server
  }

  async readOn(): Promise<this> {
    for (let more = true; more;) {
      const last = this.entries.at(-1)
      const after = last === undefined ? '' : `&after=${encodeURIComponent(last.id)}`
      const { status, body } = await this.#server.rest('GET', `/v1/uplink?limit=1000${after}`)
      const page: unknown = typeof body === 'object' && body !== null && 'uplink' in body ? body.uplink : null
      if (status !== 200 || !Array.isArray(page) || !page.every(isEntry)) throw new Error(`${status} ${String(body)}`)
      this.entries.push(...page)
      more = page.length > 0
    }
    return this
  }

  numbers(device: string, channel: string): number[] {
    return this.entries.filter((e) => e.device === device && e.channel === channel).map((e) => Number(e.payload))
  }
}
