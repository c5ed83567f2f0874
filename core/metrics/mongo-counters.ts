import { OutcomeCounters } from '../model/outcome-counters.js'

/** Plain numbers, incremented in place. */
export class MongoCounters {
  readonly outcomes = new OutcomeCounters()
  /** Connections of the pool that ended with an error, or could not be made. */
  connectionErrors = 0
  /** Commands that got no connection in time. */
  notSent = 0
  /** Times that a server did not answer how it is. */
  heartbeatsFailed = 0
  /** Steps of a device in which another process was first. */
  conflicts = 0
  /** Claims of dead nodes that this process has ended. */
  claimsEnded = 0
}

/** The client now. */
export interface MongoClientState {
  /** A server that takes writes is known. */
  readonly writable: boolean
  /** Servers that answer. */
  readonly servers: number
  readonly connections: number
  readonly connectionsInUse: number
}
