import { OutcomeCounters } from '../model/outcome-counters.js'

/** What became of a command that got no good answer. */
export type CommandFailure =
  /** Redis said no: out of memory, loading, a replica, … */
  | 'refused'
  /** There was no connection, or too much was under way. */
  | 'not_sent'
  /** No answer in time, or the connection ended before it. */
  | 'unanswered'

/** What a Redis says of itself. */
export interface RedisServerReport {
  /** Host and port. */
  readonly server: string
  readonly usedMemoryBytes: number
  /** 0: without a limit. */
  readonly maxMemoryBytes: number
  readonly connectedReplicas: number
  readonly aofEnabled: boolean
  /** The last write to the append-only file, and the last rewrite of it, went well. */
  readonly aofOk: boolean
  /** The last snapshot went well. */
  readonly rdbOk: boolean
}

/** Plain numbers, incremented in place. */
export class RedisCounters {
  readonly outcomes = new OutcomeCounters()
  commands = 0
  readonly failures: Record<CommandFailure, number> = { refused: 0, not_sent: 0, unanswered: 0 }
  /** Claims of dead nodes that this process has ended. */
  claimsEnded = 0
  /** Connections that ended or could not be made. */
  connectionErrors = 0
  /** As of the last time that they were asked. */
  servers: readonly RedisServerReport[] = []
  /** Times that a server did not say how it is. */
  reportsFailed = 0
}

/** The connections now. */
export interface RedisClientState {
  readonly masters: number
  readonly mastersReady: number
  readonly underWay: number
  readonly bytesUnderWay: number
}
