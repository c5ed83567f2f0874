// A TCP proxy that is the network of a test: between devices and brokers it is the load balancer, between a node and Redis the
// wire. It can cut connections, delay what they carry, hold it back (a partition that heals: everything arrives late), and swallow
// it (a connection that is dead and says nothing, no FIN: it never lives again).

import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** `up`: to the server; `down`: to the client. */
export type Direction = 'up' | 'down'

/** Of the bytes in one direction. `swallow` stays with a connection that had it once. */
export type Passage = 'pass' | 'hold' | 'swallow'

export interface Target {
  readonly name: string
  readonly port: () => number
}

/** Changes what goes up on one connection. */
export type Rewriter = (bytes: Buffer) => Buffer

export interface FaultProxyOptions {
  readonly targets: readonly Target[]
  /** Of each new connection. */
  readonly rewriter?: () => Rewriter
}

interface Weather {
  readonly passage: Record<Direction, Passage>
  readonly delayMs: Record<Direction, number>
  /** New connections are refused. */
  refuses: boolean
  /** New connections may come here. */
  open: boolean
}

const fine = (): Weather => ({
  passage: { up: 'pass', down: 'pass' },
  delayMs: { up: 0, down: 0 },
  refuses: false,
  open: true,
})

/** One direction of a connection. */
class Pipe {
  readonly #from: Socket
  readonly #to: Socket
  readonly #weather: Weather
  readonly #direction: Direction
  readonly #rewrite: Rewriter
  /** While it is not empty, a timer runs. */
  readonly #late: Array<{ readonly due: number; readonly bytes: Buffer | null }> = []
  #swallows = false

  constructor(from: Socket, to: Socket, weather: Weather, direction: Direction, rewrite: Rewriter) {
    this.#from = from
    this.#to = to
    this.#weather = weather
    this.#direction = direction
    this.#rewrite = rewrite
    from.on('data', (bytes: Buffer) => this.#pass(this.#rewrite(bytes)))
    from.on('end', () => this.#pass(null))
    to.on('drain', () => this.look())
    this.look()
  }

  get swallows(): boolean {
    return this.#swallows
  }

  /** The weather has changed, or the receiver takes more. */
  look(): void {
    const passage = this.#weather.passage[this.#direction]
    if (passage === 'swallow') this.#swallows = true
    if (!this.#swallows && (passage === 'hold' || this.#to.writableNeedDrain)) this.#from.pause()
    else this.#from.resume()
  }

  swallow(): void {
    this.#swallows = true
    this.#from.resume()
  }

  #pass(bytes: Buffer | null): void {
    if (this.#swallows) return
    const delayMs = this.#weather.delayMs[this.#direction]
    if (delayMs === 0 && this.#late.length === 0) return this.#write(bytes)
    this.#late.push({ due: performance.now() + delayMs, bytes })
    if (this.#late.length === 1) setTimeout(() => this.#deliver(), delayMs)
  }

  #deliver(): void {
    const now = performance.now()
    while (this.#late[0] !== undefined && this.#late[0].due <= now) {
      const [first] = this.#late.splice(0, 1)
      if (first !== undefined && !this.#swallows) this.#write(first.bytes)
    }
    const [next] = this.#late
    if (next !== undefined) setTimeout(() => this.#deliver(), Math.max(1, next.due - now))
  }

  #write(bytes: Buffer | null): void {
    if (bytes === null) this.#to.end()
    else if (!this.#to.write(bytes)) this.#from.pause()
  }
}

class Link {
  readonly target: string
  readonly client: Socket
  readonly server: Socket
  readonly up: Pipe
  readonly down: Pipe

  constructor(target: string, client: Socket, server: Socket, weather: Weather, rewrite: Rewriter) {
    this.target = target
    this.client = client
    this.server = server
    this.up = new Pipe(client, server, weather, 'up', rewrite)
    this.down = new Pipe(server, client, weather, 'down', (bytes) => bytes)
    client.once('close', () => {
      if (!this.up.swallows) server.destroy()
    })
    server.once('close', () => {
      if (!this.down.swallows) client.destroy()
    })
  }

  cut(): void {
    this.client.destroy()
    this.server.destroy()
  }
}

export class FaultProxy {
  readonly #targets: readonly Target[]
  readonly #weather: ReadonlyMap<string, Weather>
  readonly #rewriter: () => Rewriter
  readonly #server: Server
  readonly #links = new Set<Link>()
  readonly #opening = new Set<Socket>()
  /** Which target the connection from a local port of a client went to last. */
  readonly #targetOf = new Map<number, string>()
  #turn = 0
  connections = 0

  private constructor({ targets, rewriter }: FaultProxyOptions) {
    this.#targets = targets
    this.#weather = new Map(targets.map(({ name }) => [name, fine()]))
    this.#rewriter = rewriter ?? (() => (bytes) => bytes)
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket))
  }

  /** Listens on loopback until the end of the test. */
  static async start(t: Test, options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', 2_048, resolve))
    t.teardown(() => proxy.stop())
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return address.port
  }

  /** Connections that are open to a target, or to any. */
  open(target?: string): number {
    return this.#of(target).length
  }

  targetOf(clientPort: number): string | null {
    return this.#targetOf.get(clientPort) ?? null
  }

  /** New connections may go there, or not. With no target open they are refused. */
  admit(target: string, open: boolean): void {
    this.#at(target).open = open
  }

  /** For what is there and what comes. */
  set(
    passage: Passage,
    { target, direction }: { readonly target?: string; readonly direction?: Direction } = {},
  ): void {
    this.#change(target, direction, (weather, way) => {
      weather.passage[way] = passage
    })
  }

  delay(ms: number, { target, direction }: { readonly target?: string; readonly direction?: Direction } = {}): void {
    this.#change(target, direction, (weather, way) => {
      weather.delayMs[way] = ms
    })
  }

  /** New connections are cut at once. */
  refuse(refuses: boolean, target?: string): void {
    for (const { name } of this.#targets) if (target === undefined || target === name) this.#at(name).refuses = refuses
  }

  /** Every connection of a target, or of all, ends on both sides. How many there were. */
  cut(target?: string): number {
    const links = this.#of(target)
    for (const link of links) link.cut()
    return links.length
  }

  /** Ends the client's side of every n-th connection; the server has a connection that says nothing any more. How many. */
  abandon(every: number): number {
    const links = [...this.#links].filter((_link, i) => i % every === 0)
    for (const { client, up, down } of links) {
      up.swallow()
      down.swallow()
      client.destroy()
    }
    return links.length
  }

  stop(): void {
    this.#server.close()
    for (const link of this.#links) link.cut()
    for (const socket of this.#opening) socket.destroy()
  }

  #at(target: string): Weather {
    const weather = this.#weather.get(target)
    if (weather === undefined) throw new Error(`no target ${target}`)
    return weather
  }

  #of(target?: string): readonly Link[] {
    return [...this.#links].filter((link) => target === undefined || link.target === target)
  }

  #change(
    target: string | undefined,
    direction: Direction | undefined,
    change: (weather: Weather, way: Direction) => void,
  ): void {
    for (const { name } of this.#targets) {
      if (target !== undefined && target !== name) continue
      for (const way of ['up', 'down'] as const)
        if (direction === undefined || direction === way) change(this.#at(name), way)
    }
    for (const { up, down } of this.#of(target)) {
      up.look()
      down.look()
    }
  }

  #accept(client: Socket): void {
    this.connections++
    client.on('error', () => undefined) // 'close' follows
    const candidates = this.#targets.filter(({ name }) => this.#at(name).open)
    const first = this.#turn++
    this.#connect(
      client,
      candidates.map((_target, i) => candidates[(first + i) % candidates.length]),
    )
  }

  /** Tries one after the other, as a load balancer does. */
  #connect(client: Socket, [target, ...others]: ReadonlyArray<Target | undefined>): void {
    if (target === undefined || this.#at(target.name).refuses) {
      client.destroy()
      return
    }
    const server = connect({ port: target.port(), host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    this.#opening.add(server)
    const failed = (): void => {
      this.#opening.delete(server)
      this.#connect(client, others)
    }
    server.once('error', failed)
    server.once('connect', () => {
      this.#opening.delete(server)
      server.off('error', failed)
      server.on('error', () => undefined)
      if (client.destroyed) {
        server.destroy()
        return
      }
      if (client.remotePort !== undefined) this.#targetOf.set(client.remotePort, target.name)
      const link = new Link(target.name, client, server, this.#at(target.name), this.#rewriter())
      this.#links.add(link)
      const gone = (): void => {
        if (client.destroyed && server.destroyed) this.#links.delete(link)
      }
      client.once('close', gone)
      server.once('close', gone)
    })
  }
}
