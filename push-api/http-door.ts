// The connections of the REST listener. Whoever waits (has sent no whole request, or none since the last answer) makes room for
// a newcomer: first those who never showed a valid key, of them the one that waits longest. So half-sent requests, however
// many, keep nobody out. Who is being answered is never put out.
//
//   newcomer ──request──▶ served ──answer──▶ newcomer, or known: an answer that only a valid key gets

import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Server as TlsServer } from 'node:tls'
import { PostriderError } from '../core/errors.js'
import type { SocketBudget } from '../core/limits/socket-budget.js'
import { WaitingRoom } from '../core/limits/waiting-room.js'
import { Handshakes } from '../core/tls/handshakes.js'
import type { ApiCounters } from './counters.js'
import { problemText } from './problem.js'

export interface HttpDoorLimits {
  /** Connections at one time. */
  readonly connectionsMax: number
  /** Requests of one connection that wait for their answers. */
  readonly pipelineMax: number
  /** Milliseconds for which a request may be under way without a byte, in or out: the client does not read its answer. */
  readonly stalledTimeoutMs: number
}

interface Client {
  /** Requests that are being answered. */
  requests: number
  known: boolean
  /** The last request that came. */
  last: { readonly request: IncomingMessage; readonly response: ServerResponse } | null
  /** To be done when no more than `left` of them are not answered. */
  afterwards: { readonly left: number; readonly next: () => void } | null
}

const NEEDS_KEY = '/v1/'

export class HttpDoor {
  readonly #limits: HttpDoorLimits
  readonly #budget: SocketBudget
  readonly #counters: ApiCounters
  readonly #newcomers: WaitingRoom<Socket>
  readonly #known: WaitingRoom<Socket>
  readonly #clients = new WeakMap<Duplex, Client>()
  /** Those who are being answered. */
  readonly #underWay = new Set<Client>()
  #open = 0
  #leaving = false
  #closing = false

  constructor(limits: HttpDoorLimits, budget: SocketBudget, counters: ApiCounters) {
    this.#limits = limits
    this.#budget = budget
    this.#counters = counters
    const putOut = (socket: Socket): void => {
      if (!this.#closing) counters.connectionsEnded.evicted++
      socket.destroy()
    }
    this.#newcomers = new WaitingRoom(Infinity, putOut)
    this.#known = new WaitingRoom(Infinity, putOut)
    budget.addRoom(this.#newcomers)
    budget.addRoom(this.#known)
  }

  /** Connections now. */
  get open(): number {
    return this.#open
  }

  /** Of them, those with a request that is being answered. */
  get answering(): number {
    return this.#underWay.size
  }

  /** Watches the connections of a server. */
  watch(server: Server): void {
    this.#watchStalled(server)
    server.on('connection', (socket: Socket) => {
      if (!this.#comes(socket)) this.#refuse(socket)
    })
  }

  /** The same of a server with TLS: a connection comes with a plain socket, and its requests have a secured one. */
  watchTls(server: TlsServer & Pick<Server, 'setTimeout'>): void {
    this.#watchStalled(server)
    const handshakes = new Handshakes<Socket>()
    server.on('connection', (plain: Socket) => {
      handshakes.add(plain, plain)
      if (this.#comes(plain)) return
      this.#counters.connectionsEnded.refused++
      plain.destroy()
    })
    server.on('secureConnection', (secured) => {
      const plain = handshakes.take(secured)
      const client = plain === undefined ? undefined : this.#clients.get(plain)
      if (plain === undefined || client === undefined) {
        // Its other side has ended meanwhile.
        secured.destroy()
        return
      }
      this.#newcomers.leave(plain)
      this.#clients.set(secured, client)
      this.#newcomers.enter(secured)
      secured.once('close', () => this.#leaves(secured))
    })
  }

  /** From now on every answer is the last one of its connection: clients come again elsewhere. */
  leave(): void {
    this.#leaving = true
    for (const { last } of this.#underWay) if (last !== null) endsConnection(last.response)
  }

  /**
   * Ends everybody who waits, and who comes from now on. Also those who have never sent a request, whom Node does not call idle,
   * and those who still shake hands, whom it does not know.
   */
  close(): void {
    this.#closing = true
    while (this.#newcomers.putOutOldest() || this.#known.putOutOldest());
  }

  /** Node ends nobody who does not read. It tells of idle connections in the same way. */
  #watchStalled(server: Pick<Server, 'setTimeout'>): void {
    server.setTimeout(this.#limits.stalledTimeoutMs, (socket: Socket) => {
      if ((this.#clients.get(socket)?.requests ?? 0) > 0) this.#counters.connectionsEnded.stalled++
      socket.destroy()
    })
  }

  /** Puts the count of requests in front of a server's own listener. */
  guard(listener: RequestListener): RequestListener {
    return (request, response) => {
      if (this.#begins(request, response)) listener(request, response)
    }
  }

  /**
   * Calls `next` once every request of the connection that has come whole is answered; never if it ends before. `answered`: one
   * that has not come whole has its answer already, and must not get another: a proxy would take that for the answer to the
   * next request. False: it was asked for this connection already, and nothing is done.
   */
  afterAnswers(socket: Duplex, next: (answered: boolean) => void): boolean {
    const client = this.#clients.get(socket)
    const half = client?.last !== null && client?.last.request.complete === false ? client.last : null
    const left = half === null ? 0 : 1
    const call = (): void => next(half?.response.headersSent === true)
    if (client === undefined || client.requests <= left) call()
    else if (client.afterwards === null) client.afterwards = { left, next: call }
    else return false
    return true
  }

  /** False: there is no room for it. */
  #comes(socket: Socket): boolean {
    if (this.#closing) socket.destroy()
    this.#open++
    this.#clients.set(socket, { requests: 0, known: false, last: null, afterwards: null })
    this.#newcomers.enter(socket)
    const room = this.#open <= this.#limits.connectionsMax || this.#makeRoom()
    const files = this.#budget.enter()
    socket.once('close', () => {
      this.#open--
      this.#leaves(socket)
      this.#budget.leave()
    })
    return room && files
  }

  #leaves(socket: Socket): void {
    // Node does not end the answers that still waited for their turn: none of them may be waited for.
    const client = this.#clients.get(socket)
    if (client !== undefined) this.#underWay.delete(client)
    this.#newcomers.leave(socket)
    this.#known.leave(socket)
  }

  /** False: everybody else is being answered. */
  #makeRoom(): boolean {
    if (this.#newcomers.size > 1) return this.#newcomers.putOutOldest()
    return this.#known.putOutOldest()
  }

  #refuse(socket: Socket): void {
    this.#counters.connectionsEnded.refused++
    socket.end(problemText(new PostriderError('overloaded', 'too many connections; nothing of a request was read')))
    socket.destroySoon()
  }

  /** False: the connection is ended, the request is not looked at. */
  #begins(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request
    const client = this.#clients.get(socket)
    if (client === undefined) return true
    if (socket.destroyed) return false
    if (client.requests >= this.#limits.pipelineMax) {
      this.#counters.connectionsEnded.pipelining++
      socket.destroy()
      return false
    }
    client.last = { request, response }
    if (this.#leaving) endsConnection(response)
    if (client.requests++ === 0) {
      this.#underWay.add(client)
      this.#newcomers.leave(socket)
      this.#known.leave(socket)
    }
    response.once('close', () => {
      client.known ||= response.statusCode < 400 && request.url?.startsWith(NEEDS_KEY) === true
      if (--client.requests === 0) this.#underWay.delete(client)
      if (request.complete && client.last?.request === request) client.last = null
      if (socket.destroyed) return
      if (client.afterwards !== null && client.requests <= client.afterwards.left) client.afterwards.next()
      if (client.requests > 0) return
      if (client.known) this.#known.enter(socket)
      else this.#newcomers.enter(socket)
    })
    return true
  }
}

function endsConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}
