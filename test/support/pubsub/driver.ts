// A client library of somebody else, as the behaviours drive it.

export interface DriverMessage {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
}

export interface DriverConnect {
  readonly clean?: boolean
  /** Seconds. Default: 60. */
  readonly keepalive?: number
  /** False: what comes is not acknowledged. */
  readonly acks?: boolean
  readonly will?: {
    readonly topic: string
    readonly payload: string
    readonly qos: 0 | 1 | 2
    readonly retain: boolean
  }
}

export interface DriverClient {
  readonly sessionPresent: boolean
  readonly messages: readonly DriverMessage[]
  /** The connection has ended. */
  readonly closed: boolean
  /** The codes of the SUBACK. */
  subscribe(...filters: ReadonlyArray<readonly [string, 0 | 1 | 2]>): Promise<readonly number[]>
  unsubscribe(...filters: readonly string[]): Promise<void>
  /** Resolves when the library says that it is done. */
  publish(topic: string, payload: string, qos: 0 | 1 | 2, retain?: boolean): Promise<void>
  /** With DISCONNECT. */
  disconnect(): Promise<void>
  /** Without. */
  drop(): Promise<void>
}

export interface Driver {
  readonly name: string
  /** Null: it can be used; else why not, and how to get it. */
  readonly missing: string | null
  /** Rejects when the CONNECT is refused. */
  connect(id: string, options?: DriverConnect): Promise<DriverClient>
}
