// A whole client before a model of the server, with everything that can come in another order: connections cut at any moment,
// a storage that takes its time, handlers that end at any moment, processes that are killed. When all of that is over, everything
// must have been handled and acknowledged: nothing may wait for a word that was said already.

import t from 'tap'
import type { Message } from '../../sdk/device/message.js'
import type { Storage, StorageChange } from '../../sdk/device/storage/storage.js'
import { logKey, readLog } from '../../sdk/device/storage/stored-values.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import type { FakeConnection } from '../support/sdk/fake-server.js'
import { E1, LOG, settle } from '../support/sdk/handling-rig.js'
import { LONG } from '../support/road/wait.js'

const SEEDS = LONG ? 2_000 : 250
const STEPS = 60
const MESSAGES = 40
const DELAY_MS = 100

if (LONG) t.setTimeout(600_000)

/** Numbers from a seed, so that a walk that fails can be walked again. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) % below
  }
}

/** What survives a process. */
class Disk {
  readonly values = new Map<string, Uint8Array>()
  slow = false
  #waiting: Array<{ readonly apply: () => void; readonly done: () => void }> = []

  /** The storage of one process. `dead`: it writes nothing any more. */
  storage(life: { readonly dead: boolean }): Storage {
    return {
      load: () => Promise.resolve(new Map(this.values)),
      write: (changes: readonly StorageChange[]) =>
        new Promise((done) => {
          if (life.dead) return
          const apply = (): void => {
            for (const [key, value] of changes) {
              if (value === null) this.values.delete(key)
              else this.values.set(key, value)
            }
          }
          this.#waiting.push({ apply, done })
          if (!this.slow) this.letGo()
        }),
      close: () => Promise.resolve(),
    }
  }

  letGo(): void {
    this.slow = false
    for (const { apply, done } of this.#waiting.splice(0)) {
      apply()
      done()
    }
  }

  /** The process is gone. What it was writing is there, or it is not. */
  lose(there: boolean): void {
    for (const { apply } of this.#waiting.splice(0)) if (there) apply()
  }

  get recorded(): number {
    const log = this.values.get(logKey(LOG))
    return log === undefined ? 0 : (readLog(log).record.handled.get(E1) ?? 0)
  }
}

class Walk {
  readonly #random: (below: number) => number
  readonly #manual: boolean
  readonly #window: number
  readonly #disk = new Disk()
  readonly faults: string[] = []
  #life = { dead: false }
  #rig: ClientRig
  /** Handlers that have not ended, or messages that are not acknowledged by hand. */
  #open: Array<() => void> = []
  /** How often the handler was run, by seq. */
  readonly #runs = new Map<number, number>()
  #last = 0
  // The server.
  #head = 3
  #cursor = 0
  #connection: FakeConnection | null = null
  #greeted = false
  #read = 0
  #sent = 0

  constructor(seed: number) {
    this.#random = numbersFrom(seed)
    this.#manual = this.#random(4) === 0
    this.#window = 1 + this.#random(this.#random(2) === 0 ? 1 : 6)
    this.#rig = this.#start()
  }

  #start(): ClientRig {
    const life = { dead: false }
    this.#life = life
    this.#open = []
    return new ClientRig({
      storage: this.#disk.storage(life),
      window: this.#window,
      ack: this.#manual ? 'manual' : 'auto',
      backoff: { firstMs: DELAY_MS, maxMs: DELAY_MS, stableMs: 60_000 },
      retry: { attempts: 1_000, minMs: 1, maxMs: 10 },
      handler: (message: Message) => (life.dead ? undefined : this.#run(message)),
    })
  }

  #run(message: Message): Promise<void> | undefined {
    const { seq, attempt } = message
    const before = this.#runs.get(seq) ?? 0
    if (seq <= this.#disk.recorded) this.faults.push(`seq ${seq} runs again after it was recorded`)
    if (before > 0 && attempt <= 1) this.faults.push(`seq ${seq} runs again as if it were the first time`)
    if (seq > this.#last + 1) this.faults.push(`seq ${seq} runs after ${this.#last}`)
    this.#runs.set(seq, before + 1)
    this.#last = Math.max(this.#last, seq)
    if (this.#manual) {
      this.#open.push(() => message.ack())
      return undefined
    }
    if (this.#random(3) === 0) return undefined
    if (this.#random(12) === 0) throw new Error('a handler that fails')
    return new Promise<void>((resolve, reject) => {
      this.#open.push(() => (this.#random(10) === 0 ? reject(new Error('late')) : resolve()))
    })
  }

  /** What the server does with what has come. */
  #serve(): void {
    const { connections } = this.#rig.world
    const now = connections.at(-1) ?? null
    if (now !== this.#connection) {
      this.#connection = now
      this.#greeted = false
      this.#read = 0
    }
    if (now === null || now.over !== 'no') return
    for (const frame of now.frames.slice(this.#read)) {
      const place = frame.t === 'hello' ? frame.cursors.get(LOG) : frame.t === 'ack' ? frame.acks.get(LOG) : undefined
      if (place === undefined) continue
      if (place[1] > this.#disk.recorded) this.faults.push(`${frame.t} of ${place[1]}, recorded ${this.#disk.recorded}`)
      this.#cursor = Math.max(this.#cursor, Math.min(place[1], this.#head))
    }
    this.#read = now.frames.length
    if (!this.#greeted) return
    const seqs: number[] = []
    while (this.#sent + seqs.length < this.#head && this.#sent + seqs.length - this.#cursor < this.#window) {
      seqs.push(this.#sent + seqs.length + 1)
    }
    if (seqs.length === 0) return
    now.data(this.#sent, seqs)
    this.#sent += seqs.length
  }

  #greet(): void {
    const now = this.#rig.world.connections.at(-1)
    if (now === undefined || now.over !== 'no') return
    if (now.packets.length === 0) now.open()
    this.#serve()
    if (this.#greeted || now.hello === undefined) return
    now.accept().welcome(this.#cursor, this.#head)
    this.#greeted = true
    this.#sent = this.#cursor
    this.#serve()
  }

  /** Cut, and on another connection before anything else has happened. */
  async #comeBack(): Promise<void> {
    const { world } = this.#rig
    world.connections.at(-1)?.cut()
    await settle()
    if (this.#rig.client.state === 'waiting') world.clock.advance(DELAY_MS)
    await settle()
    this.#greet()
    await settle()
  }

  #endOne(): void {
    const at = this.#random(Math.max(1, this.#open.length))
    for (const end of this.#open.splice(this.#manual ? at : 0, 1)) end()
  }

  async #step(): Promise<void> {
    const what = this.#random(21)
    if (what < 6) this.#endOne()
    else if (what < 9) this.#rig.world.clock.advance(this.#random(300))
    else if (what < 12) this.#greet()
    else if (what < 14) this.#disk.slow = true
    else if (what < 16) this.#disk.letGo()
    else if (what < 18) this.#head = Math.min(MESSAGES, this.#head + this.#random(5))
    else if (what < 19) this.#rig.world.connections.at(-1)?.cut()
    else if (this.#random(3) === 0) this.#kill()
    else await this.#comeBack()
    for (let turns = this.#random(4); turns > 0; turns--) await new Promise<void>((resolve) => setImmediate(resolve))
    this.#serve()
  }

  #kill(): void {
    this.#life.dead = true
    this.#disk.lose(this.#random(2) === 0)
    this.#rig.world.connections.at(-1)?.cut()
    this.#rig = this.#start()
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS && this.faults.length === 0; step++) await this.#step()
    // From here on no cut helps what waits in vain. The last one comes while a record is being written.
    this.#disk.slow = true
    for (const end of this.#open.splice(0)) end()
    await settle()
    await this.#comeBack()
    this.#head = MESSAGES
    for (let round = 0; round < 200 && this.#cursor < MESSAGES; round++) {
      this.#disk.letGo()
      for (const end of this.#open.splice(0)) end()
      await settle()
      this.#greet()
      this.#serve()
      await settle()
      // Not over a minute in all but for reconnects: no keep-alive or timeout may be what helps.
      this.#rig.world.clock.advance(this.#rig.client.state === 'waiting' ? DELAY_MS : 200)
    }
    const { ended, errors, client } = this.#rig
    if (this.#cursor < MESSAGES) {
      const last = errors.at(-1)?.message ?? ''
      this.faults.push(`${this.#cursor} of ${MESSAGES} acknowledged; ${client.state} ${ended?.message ?? ''} ${last}`)
    }
    await this.#rig.client.close()
  }
}

void t.test('SDK liveness: whatever comes in between, everything is handled, recorded and acknowledged', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const walk = new Walk(seed)
    await walk.run()
    if (walk.faults.length > 0) t.fail(`seed ${seed}: ${walk.faults.join('; ')}`)
  }
  t.pass(`${SEEDS} walks`)
})
