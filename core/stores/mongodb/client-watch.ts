// What the driver says of its connections, counted. And whether it still looks after them: after connections were cut in a bad moment
// its monitor can stop asking the server how it is, and then nothing is sent any more, for ever. It is begun anew then.

import type { MongoClient, ServerDescription } from 'mongodb'
import type { MongoClientState, MongoCounters } from '../../metrics/mongo-counters.js'

const WRITABLE: ReadonlySet<string> = new Set(['RSPrimary', 'Standalone', 'Mongos', 'LoadBalancer'])
const ANSWERING: ReadonlySet<string> = new Set([...WRITABLE, 'RSSecondary'])

const TICK_MS = 1_000
/** A server is asked every 2 s, and an answer is waited for so long as well. Ticks, because a frozen process hears nothing. */
const SILENT_TICKS = 10

export class ClientWatch {
  readonly #timer: NodeJS.Timeout
  #silent = 0
  #servers: ReadonlyMap<string, Pick<ServerDescription, 'type'>> = new Map()
  #connections = 0
  #inUse = 0

  /** `revive`: nobody asks the server any more. `tickMs`: for tests. */
  constructor(client: MongoClient, counters: MongoCounters, revive: () => void, tickMs = TICK_MS) {
    for (const event of ['serverHeartbeatStarted', 'serverHeartbeatSucceeded', 'serverHeartbeatFailed'] as const) {
      client.on(event, () => {
        this.#silent = 0
      })
    }
    this.#timer = setInterval(() => {
      if (++this.#silent < SILENT_TICKS) return
      this.#silent = 0
      revive()
    }, tickMs)
    this.#timer.unref()
    client.on('topologyDescriptionChanged', ({ newDescription }) => {
      this.#servers = newDescription.servers
    })
    client.on('connectionCreated', () => this.#connections++)
    client.on('connectionClosed', ({ reason }) => {
      this.#connections--
      if (reason === 'error') counters.connectionErrors++
    })
    client.on('connectionCheckedOut', () => this.#inUse++)
    client.on('connectionCheckedIn', () => this.#inUse--)
    client.on('connectionCheckOutFailed', () => counters.notSent++)
    client.on('serverHeartbeatFailed', () => counters.heartbeatsFailed++)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  state(): MongoClientState {
    const types = Array.from(this.#servers.values(), ({ type }) => type)
    return {
      writable: types.some((type) => WRITABLE.has(type)),
      servers: types.filter((type) => ANSWERING.has(type)).length,
      connections: this.#connections,
      connectionsInUse: this.#inUse,
    }
  }
}
