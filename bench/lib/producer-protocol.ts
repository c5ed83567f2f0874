// What the benchmark and its producer process say to each other.
import type { SentSummary } from './checker.js'
import { boolean, either, literal, number, object, nullable, string, uint32s, type Decoder } from './decode.js'
import type { ProducerOptions, ProducerReport } from './producer.js'

/** The devices that this process will send to, in its whole life. */
export interface ProducerRange {
  readonly firstDevice: number
  readonly devices: number
}
export const producerRange: Decoder<ProducerRange> = object({ firstDevice: number, devices: number })

export interface ProducerOrder extends ProducerOptions {
  readonly via: 'http' | 'mqtt'
}
export const producerOrder: Decoder<ProducerOrder> = object({
  via: either(literal('http'), literal('mqtt')),
  host: string,
  port: number,
  firstDevice: number,
  devices: number,
  idPrefix: string,
  messages: number,
  connections: number,
  payloadBytes: number,
  rate: number,
  topicPrefix: string,
  topicSuffix: string,
  tokenSecret: nullable(string),
  window: number,
  batch: number,
  call: either(literal('batch'), literal('single')),
  apiKey: string,
  dedup: boolean,
})

export const producerReport: Decoder<ProducerReport> = object({
  sent: number,
  accepted: number,
  refused: number,
  unknown: number,
  retried: number,
  firstError: nullable(string),
  beganMicros: number,
  lastAcceptedMicros: number,
})

export const sentSummary: Decoder<SentSummary> = object({
  first: number,
  sent: uint32s,
  refused: uint32s,
  unknown: uint32s,
})
