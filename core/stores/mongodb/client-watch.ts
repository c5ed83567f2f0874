// What the driver says of its connections, counted.

import type { MongoClient, ServerDescription } from 'mongodb'
import type { MongoClientState, MongoCounters } from '../../metrics/mongo-counters.js'

const WRITABLE: ReadonlySet<string> = new Set(['RSPrimary', 'Standalone', 'Mongos', 'LoadBalancer'])
const ANSWERING: ReadonlySet<string> = new Set([...WRITABLE, 'RSSecondary'])

export class ClientWatch {
  #servers: ReadonlyMap<string, Pick<ServerDescription, 'type'>> = new Map()
  #connections = 0
  #inUse = 0

  constructor(client: MongoClient, counters: MongoCounters) {
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
