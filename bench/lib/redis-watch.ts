// What each process asks of a Redis and is sent over its bus, as Redis itself sees it: MONITOR tells every command with the
// connection that it came from, and the kernel which process has the connection. Linux only. It slows Redis down, so it is
// for counting and not for measuring time.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import type { Redis } from 'ioredis'
import type { Scope } from './scope.js'

export interface NodeWork {
  /** Commands by name, those inside scripts not counted. */
  readonly commands: Readonly<Record<string, number>>
  /** Devices that its commands named, each as often as it was named. */
  readonly devices: ReadonlyMap<string, number>
  /** Bus packets that others sent to it. */
  readonly framesReceived: number
  /** Bus packets that it sent, its beats not counted. */
  readonly framesSent: number
}

interface Tally {
  readonly commands: Map<string, number>
  readonly devices: Map<string, number>
  /** Channel → packets sent to it. */
  readonly published: Map<string, number>
}

const RECORD = /^pr:\{(.*)\}$/s

export class RedisWatch {
  readonly #pids = new Map<string, number>()
  readonly #tallies = new Map<string, Tally>()
  /** By the connection's port at its process. */
  readonly #owners = new Map<number, string>()
  readonly #subscribed = new Map<number, string>()

  /** To be started before the processes are, so that their subscriptions are seen. Ends with `scope`. */
  static async start(scope: Scope, redis: Redis): Promise<RedisWatch> {
    const watch = new RedisWatch()
    const monitor = await redis.monitor()
    scope.defer(() => monitor.disconnect())
    monitor.on('monitor', (_time: string, args: readonly string[], source: string) => watch.#saw(args, source))
    return watch
  }

  /** Counts what the process does from here on; from anew, when it is counted already. */
  count(name: string, pid: number): void {
    this.#pids.set(name, pid)
    this.#tallies.set(name, { commands: new Map(), devices: new Map(), published: new Map() })
  }

  work(name: string): NodeWork {
    const { commands, devices, published } = this.#tally(name)
    const ports = localPorts(this.#pids.get(name) ?? 0)
    const own = new Set([...this.#subscribed].flatMap(([port, channel]) => (ports.has(port) ? [channel] : [])))
    let framesReceived = 0
    for (const [other, tally] of this.#tallies) {
      if (other !== name) for (const channel of own) framesReceived += tally.published.get(channel) ?? 0
    }
    let framesSent = 0
    for (const [channel, count] of published) if (!own.has(channel)) framesSent += count
    const sorted = [...commands].toSorted(([a], [b]) => (a < b ? -1 : 1))
    return { commands: Object.fromEntries(sorted), devices, framesReceived, framesSent }
  }

  #tally(name: string): Tally {
    const tally = this.#tallies.get(name)
    if (tally === undefined) throw new RangeError(`no process ${name}`)
    return tally
  }

  #saw(args: readonly string[], source: string): void {
    const [name = '', first = ''] = args
    const port = Number(/:(\d+)$/.exec(source)?.[1] ?? Number.NaN)
    const command = name.toLowerCase()
    if (command === 'ssubscribe') this.#subscribed.set(port, first)
    const owner = this.#ownerOf(port)
    if (owner === null) return
    const { commands, devices, published } = this.#tally(owner)
    add(commands, command)
    if (command === 'spublish') add(published, first)
    for (const arg of args) {
      const device = RECORD.exec(arg)?.[1]
      if (device !== undefined) add(devices, device)
    }
  }

  /** The process at the other end of a connection; null: none of these, or a script. */
  #ownerOf(port: number): string | null {
    if (Number.isNaN(port)) return null
    const known = this.#owners.get(port)
    if (known !== undefined) return known
    for (const [name, pid] of this.#pids) {
      if (!localPorts(pid).has(port)) continue
      this.#owners.set(port, name)
      return name
    }
    return null
  }
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** Local ports of the TCP connections of a process (proc(5)). */
function localPorts(pid: number): ReadonlySet<number> {
  const inodes = new Set<string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined) inodes.add(inode)
    } catch {
      // Closed meanwhile.
    }
  }
  const lines = readFileSync(`/proc/${pid}/net/tcp`, 'latin1').split('\n').slice(1)
  const fields = lines.map((line) => line.trim().split(/\s+/))
  return new Set(fields.flatMap(([, local, , , , , , , , inode]) => (inodes.has(inode ?? '') ? [portOf(local)] : [])))
}

const portOf = (address: string | undefined): number => Number.parseInt(address?.split(':')[1] ?? '', 16)
