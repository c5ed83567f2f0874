// Everything that touches what Aedes 1.2 does not export. `AedesInternals.inspect` checks at start that all of it is there
// and behaves, so that another version of Aedes is refused at start and not found out in production.

// oxlint-disable no-underscore-dangle -- the names are Aedes'

import type { Duplex } from 'node:stream'
import type { Aedes } from 'aedes'
import { StartupError } from '../core/errors.js'
import { AedesStream, type StreamOwner } from './aedes-stream.js'
import { COURIER_IDS_FROM } from './frame-scanner.js'

/** The private fields of an Aedes client that we use. */
interface ClientFields {
  readonly conn: unknown
  readonly closed: boolean
  readonly _parser: PacketEmitter
  readonly _keepaliveInterval: number
  readonly _keepaliveTimer: { refresh(): unknown } | null
  _nextId: number
  _eos: () => void
}

interface PacketEmitter {
  on(event: 'packet', listener: PacketListener): unknown
  removeListener(event: 'packet', listener: PacketListener): unknown
  listeners(event: 'packet'): unknown[]
  readonly client: unknown
}

type PacketListener = (this: PacketEmitter, packet: unknown) => void

/** A connection that sees every parsed packet before Aedes. */
export interface PacketInterceptor extends StreamOwner {
  /** True: the packet is dealt with, Aedes does not see it. */
  intercept(packet: unknown): boolean
}

/** The client of one connection, as far as we reach into it. */
export interface ClientHandle {
  /** A packet came that Aedes does not see: the device is alive [MQTT-3.1.2-24]. */
  refreshKeepAlive(): void
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isListener(value: unknown): value is PacketListener {
  return typeof value === 'function'
}

/** What is missing in a client; an empty list when all is there. */
function missingFields(client: unknown): string[] {
  if (!isObject(client)) return ['client']
  const missing: string[] = []
  const parser = client['_parser']
  if (typeof client['_nextId'] !== 'number') missing.push('_nextId')
  if (typeof client['_keepaliveInterval'] !== 'number') missing.push('_keepaliveInterval')
  if (client['_keepaliveTimer'] !== null) missing.push('_keepaliveTimer')
  if (typeof client['_eos'] !== 'function') missing.push('_eos')
  if (typeof client['closed'] !== 'boolean') missing.push('closed')
  if (typeof client['close'] !== 'function') missing.push('close')
  if (!isObject(parser) || typeof parser['listeners'] !== 'function' || parser['client'] !== client) {
    missing.push('_parser')
  }
  return missing
}

function isClient(value: unknown): value is ClientFields & { close(): void } {
  return missingFields(value).length === 0
}

const noop = (): void => {}

/** Aedes takes anything that acts like a stream; its types ask for a Duplex. */
function handle(aedes: Aedes, stream: AedesStream): unknown {
  const stand: unknown = stream
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what of a Duplex is used, the stream has
  return aedes.handle(stand as Duplex)
}

export class AedesInternals {
  readonly #aedes: Aedes
  /** Aedes' own listener on every parser: one function for all clients, which finds its client by `this`. */
  readonly #enqueue: PacketListener
  readonly #intercept: PacketListener

  private constructor(aedes: Aedes, enqueue: PacketListener) {
    this.#aedes = aedes
    this.#enqueue = enqueue
    this.#intercept = function intercept(packet): void {
      const client = this.client
      const stream = isObject(client) ? client['conn'] : null
      const owner: unknown = stream instanceof AedesStream ? stream.owner : null
      if (isInterceptor(owner) && owner.intercept(packet)) return
      enqueue.call(this, packet)
    }
  }

  /** Looks at a client of a running Aedes. Rejects with StartupError when something is not as expected. */
  static inspect(aedes: Aedes): AedesInternals {
    const fail = (what: string): StartupError =>
      new StartupError(`this version of Aedes does not have what the broker relies on: ${what}`)
    const probe = new AedesStream(NOBODY)
    const client = handle(aedes, probe)
    if (!isClient(client)) throw fail(missingFields(client).join(', '))
    const [enqueue, ...others] = client._parser.listeners('packet')
    if (!isListener(enqueue) || others.length > 0) throw fail('one packet listener on the parser')
    confineNextId(client)
    client._nextId = COURIER_IDS_FROM
    if (client._nextId !== 1) throw fail('_nextId as an accessor')
    client.close()
    if (!client.closed) throw fail('close')
    if (!isRegistry(aedes)) throw fail('clients')
    return new AedesInternals(aedes, enqueue)
  }

  /** Makes the Aedes client of a new connection. */
  open(stream: AedesStream<PacketInterceptor>): ClientHandle {
    const client = handle(this.#aedes, stream)
    if (!isClient(client)) throw new TypeError('not an Aedes client')
    client._parser.removeListener('packet', this.#enqueue)
    client._parser.on('packet', this.#intercept)
    // `stream.finished` watches for events that our stream never emits; its closures need not stay.
    client._eos = noop
    return new Handle(client)
  }

  /** Takes a closed client out of Aedes' list, if it is still the one there. */
  forget(client: { readonly id: string }): void {
    const registry: unknown = this.#aedes
    if (isRegistry(registry) && registry.clients[client.id] === client) registry.deleteClient(client.id)
  }
}

/** What Aedes has beyond its types. */
interface Registry {
  readonly clients: Readonly<Record<string, unknown>>
  deleteClient(id: string): void
}

function isRegistry(aedes: unknown): aedes is Registry {
  return isObject(aedes) && isObject(aedes['clients']) && typeof aedes['deleteClient'] === 'function'
}

class Handle implements ClientHandle {
  readonly #client: ClientFields

  constructor(client: ClientFields) {
    this.#client = client
  }

  refreshKeepAlive(): void {
    const client = this.#client
    if (client._keepaliveInterval > 0 && client._keepaliveTimer !== null) client._keepaliveTimer.refresh()
  }
}

/**
 * Keeps Aedes' packet ids below the couriers': `_nextId` becomes an accessor that wraps at 0x7FFF. On the prototype, once
 * for all clients: an accessor on each would turn every client into a slow, large object.
 */
function confineNextId(client: ClientFields): void {
  const prototype: unknown = Object.getPrototypeOf(client)
  if (!isObject(prototype)) return
  const current = client._nextId
  if (Object.getOwnPropertyDescriptor(prototype, '_nextId') === undefined) {
    Object.defineProperty(prototype, '_nextId', {
      get(this: { _confinedNextId?: number }): number {
        return this._confinedNextId ?? 1
      },
      set(this: { _confinedNextId?: number }, value: number) {
        this._confinedNextId = ((value - 1) % (COURIER_IDS_FROM - 1)) + 1
      },
    })
    Reflect.deleteProperty(client, '_nextId')
  }
  client._nextId = current
}

function isInterceptor(owner: unknown): owner is PacketInterceptor {
  return isObject(owner) && typeof owner['intercept'] === 'function'
}

/** The owner of the stream that only looks at Aedes. */
const NOBODY: StreamOwner = {
  writeFromAedes: noop,
  destroyedByAedes: noop,
  mayRead: () => false,
  readByAedes: noop,
}
