// How the load reaches each system under test: the product by HTTP and inbox topics, a plain broker by MQTT.
import type { DevicesOptions } from './devices.js'
import type { ProducerOrder } from './producer-protocol.js'
import type { Postrider } from './server.js'

/** A plain broker, wherever it listens. */
export interface PlainBroker {
  readonly host: string
  readonly port: number
}

/** Where devices of the product connect. */
export interface DeviceDoor {
  readonly host: string
  readonly ports: { readonly mqtt: number }
  readonly tokenSecret: string
}

/** Where the product takes pushes. */
export interface PushDoor {
  readonly host: string
  readonly ports: { readonly http: number }
  readonly apiKey: string
}

export interface LoadShape {
  readonly devices: number
  readonly messages: number
  readonly connections: number
  readonly payloadBytes: number
  readonly deviceProcesses: number
}

const ID_PREFIX = 'd'
const BROKER_TOPICS = 'bench/'
const OPENING_AT_ONCE = 64

export interface HttpShape {
  readonly batch: number
  readonly call: 'batch' | 'single'
  readonly dedup: boolean
  readonly rate: number
}

/** Devices of the product: in plain mode, or in stream mode with this window, bare or with the SDK. */
export function postriderDevices(
  server: DeviceDoor,
  shape: LoadShape,
  first = 0,
  streamWindow: number | null = null,
  sdk = false,
): DevicesOptions {
  return {
    host: server.host,
    port: server.ports.mqtt,
    first,
    count: shape.devices,
    idPrefix: ID_PREFIX,
    filterPrefix: streamWindow === null ? 'inbox/' : 'stream/',
    streamWindow,
    sdk,
    clean: streamWindow !== null,
    concurrency: OPENING_AT_ONCE,
    tokenSecret: server.tokenSecret,
    processes: shape.deviceProcesses,
  }
}

/** Pushes to the product. */
export function postriderOrder(server: PushDoor, shape: LoadShape, http: HttpShape, first = 0): ProducerOrder {
  return httpOrder({ host: server.host, port: server.ports.http, apiKey: server.apiKey }, shape, http, first)
}

/** Pushes to anything that answers the product's push calls. */
export function httpOrder(
  target: { readonly host: string; readonly port: number; readonly apiKey: string },
  shape: LoadShape,
  http: HttpShape,
  first = 0,
): ProducerOrder {
  return {
    ...target,
    via: 'http',
    firstDevice: first,
    devices: shape.devices,
    idPrefix: ID_PREFIX,
    messages: shape.messages,
    connections: shape.connections,
    payloadBytes: shape.payloadBytes,
    ...http,
    topicPrefix: '',
    topicSuffix: '',
    tokenSecret: null,
    window: 0,
  }
}

/** Persistent sessions of a plain broker. */
export function brokerDevices(broker: PlainBroker, shape: LoadShape): DevicesOptions {
  return {
    host: broker.host,
    port: broker.port,
    first: 0,
    count: shape.devices,
    idPrefix: ID_PREFIX,
    filterPrefix: BROKER_TOPICS,
    streamWindow: null,
    sdk: false,
    clean: false,
    concurrency: OPENING_AT_ONCE,
    tokenSecret: null,
    processes: shape.deviceProcesses,
  }
}

/** MQTT publishers to a plain broker. */
export function brokerOrder(broker: PlainBroker, shape: LoadShape, publishers: number, window: number): ProducerOrder {
  return {
    via: 'mqtt',
    host: broker.host,
    port: broker.port,
    firstDevice: 0,
    devices: shape.devices,
    idPrefix: ID_PREFIX,
    messages: shape.messages,
    connections: publishers,
    payloadBytes: shape.payloadBytes,
    rate: 0,
    topicPrefix: BROKER_TOPICS,
    topicSuffix: '',
    tokenSecret: null,
    window,
    batch: 1,
    call: 'single',
    apiKey: '',
    dedup: false,
  }
}

/** Devices of the product that publish to their uplink, each with a window of its own. */
export function uplinkOrder(
  server: Postrider,
  shape: Pick<LoadShape, 'devices' | 'messages' | 'payloadBytes'>,
  window: number,
): ProducerOrder {
  return {
    via: 'mqtt',
    host: server.host,
    port: server.ports.mqtt,
    firstDevice: 0,
    devices: shape.devices,
    idPrefix: ID_PREFIX,
    messages: shape.messages,
    connections: shape.devices,
    payloadBytes: shape.payloadBytes,
    rate: 0,
    topicPrefix: 'uplink/',
    topicSuffix: '/bench',
    tokenSecret: server.tokenSecret,
    window,
    batch: 1,
    call: 'single',
    apiKey: '',
    dedup: false,
  }
}
