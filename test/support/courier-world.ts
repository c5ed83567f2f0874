// Courier hosts over a real embedded store and the real in-process bus, with devices that do as they are told, and ways to
// make the store or the bus fail.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createLocalBus } from '../../core/bus/local/local-bus.js'
import { StoreUnavailable } from '../../core/errors.js'
import { createLogger } from '../../core/log.js'
import type { NewMessage, StoredMessage } from '../../core/model/message.js'
import type { Bus, BusHandler } from '../../core/ports/bus.js'
import { DEFAULT_MAILBOX_LIMITS, type Mailbox } from '../../core/ports/mailbox.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import type { Courier, CourierHost } from '../../courier/courier-api.js'
import { CourierCounters } from '../../courier/courier-counters.js'
import { type CourierHostOptions, createCourierHost } from '../../courier/create-courier-host.js'
import type { DeviceTransport } from '../../courier/device-transport.js'
import type { CloseCode } from '../../protocol/codes.js'
import { pause } from './road/wait.js'

const log = createLogger({ level: 'silent' })

/** Resolves when `condition` holds; rejects after 10 s. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
}

/** A connected device that acknowledges everything, or nothing. */
export class TestDevice implements DeviceTransport {
  readonly got: number[] = []
  readonly redelivered: number[] = []
  readonly packets: number[] = []
  closed: CloseCode | null = null
  buffered = 0
  alive = true
  acks: boolean
  private courier: Courier | undefined = undefined

  constructor(acks = true) {
    this.acks = acks
  }

  attach(courier: Courier): Courier {
    this.courier = courier
    courier.begin('plain')
    return courier
  }

  sendWelcome(): void {}
  sendReset(): void {}
  sendGap(): void {}

  sendMessage(_log: string, _epoch: string, message: StoredMessage, packetId: number, redelivered: boolean): void {
    this.got.push(message.seq)
    this.packets.push(packetId)
    if (redelivered) this.redelivered.push(message.seq)
    if (this.acks) setImmediate(() => this.courier?.acked(packetId))
  }

  bufferedBytes(): number {
    return this.buffered
  }

  /** As the broker does it: the close of the socket is reported to the courier. */
  close(code: CloseCode): void {
    if (!this.alive) return
    this.alive = false
    this.closed = code
    void this.courier?.ended()
  }
}

export interface Failing {
  /** Calls of these methods reject. */
  readonly methods: Set<string>
  readonly calls: Record<string, number>
  /** Calls of these methods are answered so much later. */
  readonly slowMs: Record<string, number>
}

/** The store itself, but that calls are counted and can be made to fail, or slow. */
function mayFail(mailbox: Mailbox, failing: Failing, afterClaim: () => void): Mailbox {
  return new Proxy(mailbox, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      return (...parameters: unknown[]): unknown => {
        failing.calls[name] = (failing.calls[name] ?? 0) + 1
        if (failing.methods.has(name)) return Promise.reject(new StoreUnavailable('made to fail'))
        const answer: unknown = Reflect.apply(value, target, parameters)
        if (name === 'claim' && answer instanceof Promise) void answer.then(afterClaim)
        const slowMs = failing.slowMs[name] ?? 0
        return slowMs === 0 ? answer : Promise.all([answer, pause(slowMs)]).then(([late]) => late)
      }
    },
  })
}

export interface Lossy {
  notices: boolean
  kicks: boolean
}

export class CourierWorld {
  readonly failing: Failing = { methods: new Set(), calls: {}, slowMs: {} }
  /** What the bus loses. */
  readonly lost: Lossy = { notices: false, kicks: false }
  /** Called when a claim has been answered, before the host knows. */
  afterClaim: () => void = () => {}
  readonly mailbox: Mailbox
  readonly bus: Bus
  private readonly hosts: CourierHost[] = []
  private readonly handlers: BusHandler[] = []
  private readonly real: Mailbox

  private constructor(mailbox: Mailbox) {
    this.real = mailbox
    this.mailbox = mayFail(mailbox, this.failing, () => this.afterClaim())
    const bus = createLocalBus()
    this.bus = {
      ...bus,
      join: (node, handler) => {
        this.handlers.push(handler)
        return bus.join(node, handler)
      },
      notify: (node, notices) => {
        if (!this.lost.notices) bus.notify(node, notices)
      },
      kick: async (node, kick, timeoutMs) => !this.lost.kicks && bus.kick(node, kick, timeoutMs),
    }
  }

  static async open(t: Test): Promise<CourierWorld> {
    const path = await mkdtemp(join(tmpdir(), 'postrider-courier-'))
    const store = await openLmdbStore({ path, durability: 'process', limits: DEFAULT_MAILBOX_LIMITS, log })
    const world = new CourierWorld(store.mailbox)
    t.teardown(async () => {
      world.failing.methods.clear()
      await Promise.all(world.hosts.map((host) => host.stop()))
      await store.close()
      await rm(path, { recursive: true, force: true })
    })
    return world
  }

  async host(more: Partial<CourierHostOptions> = {}): Promise<{ host: CourierHost; counters: CourierCounters }> {
    const counters = new CourierCounters()
    const host = createCourierHost({
      node: 'n1',
      mailbox: this.mailbox,
      bus: this.bus,
      log,
      counters,
      tickMs: 20,
      ackDelayMs: 20,
      sweepIntervalMs: 60_000,
      ...more,
    })
    this.hosts.push(host)
    await host.start()
    return { host, counters }
  }

  /** Connects and subscribes. */
  async connect(
    host: CourierHost,
    device: string,
    transport = new TestDevice(),
  ): Promise<{ courier: Courier; device: TestDevice }> {
    const courier = await host.open({ device, transport, isAlive: () => transport.alive })
    transport.attach(courier)
    return { courier, device: transport }
  }

  /** Pushes `count` messages as the push API does: append, then one notice frame to the owner. Returns the last seq. */
  async push(device: string, count = 1): Promise<number> {
    const message: NewMessage = {
      device,
      payload: Buffer.from('x'),
      contentType: 'text/plain',
      attributes: null,
      dedupId: null,
      ttl: null,
      priority: 'normal',
    }
    const results = await this.real.append(Array.from({ length: count }, () => message))
    let seq = 0
    for (const result of results) {
      if (!result.ok) throw new Error(`refused: ${result.code}`)
      seq = result.seq
      if (result.owner === null) continue
      const { epoch, at, owner } = result
      const stored: StoredMessage = { ...message, seq, at, expiresAt: null }
      this.bus.notify(owner.node, [{ device, epoch, claimId: owner.claimId, message: stored }])
    }
    return seq
  }

  /** The bus finds that notices are missing. */
  gap(): void {
    for (const handler of this.handlers) handler.onGap()
  }

  async pending(device: string): Promise<number> {
    return (await this.real.info(device))?.pending ?? -1
  }

  async owner(device: string): Promise<string | null> {
    return (await this.real.info(device))?.claim?.claimId ?? null
  }

  get store(): Mailbox {
    return this.real
  }
}

/** 1, 2, … `count`. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
