// What the benchmark and its device processes say to each other.
import type { ReceivedSummary } from './checker.js'
import { boolean, float64s, nullable, number, object, string, uint32s, type Decoder } from './decode.js'
import type { FleetOpened, FleetOptions, FleetReading } from './device-fleet.js'

/** As FleetOptions, with what makes the passwords instead of the function. */
export interface FleetOrder extends Omit<FleetOptions, 'password'> {
  /** HS256 secret that device tokens are signed with; null: connect without username and password. */
  readonly tokenSecret: string | null
}
export const fleetOrder: Decoder<FleetOrder> = object({
  host: string,
  port: number,
  first: number,
  count: number,
  idPrefix: string,
  filterPrefix: nullable(string),
  streamWindow: nullable(number),
  sdk: boolean,
  clean: boolean,
  concurrency: number,
  tokenSecret: nullable(string),
})

export const fleetOpened: Decoder<FleetOpened> = object({
  connected: number,
  failed: number,
  firstError: nullable(string),
})

/** Wait until so many distinct messages have arrived in all, or none for `quietMs`. */
export interface WaitOrder {
  readonly distinct: number
  readonly quietMs: number
}
export const waitOrder: Decoder<WaitOrder> = object({ distinct: number, quietMs: number })

export const fleetReading: Decoder<FleetReading> = object({
  latencies: float64s,
  received: number,
  firstMicros: number,
  lastMicros: number,
  cpuMicros: number,
  disconnected: number,
})

export const receivedSummary: Decoder<ReceivedSummary> = object({
  first: number,
  highest: uint32s,
  missing: uint32s,
  received: number,
  repeated: number,
  reordered: number,
  foreign: number,
})
