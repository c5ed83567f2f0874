import * as fc from 'fast-check'
import t from 'tap'
import { E1, HandlingRig, settle, TestStorage } from '../support/sdk/handling-rig.js'

/** What happens next to a device: to its handler, its connection, its process or its storage. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constant('handler ends' as const) },
  { weight: 1, arbitrary: fc.constant('handler throws' as const) },
  { weight: 2, arbitrary: fc.constant('frame' as const) },
  { weight: 1, arbitrary: fc.constant('reconnect' as const) },
  { weight: 1, arbitrary: fc.constant('crash' as const) },
  { weight: 1, arbitrary: fc.constant('hold writes' as const) },
  { weight: 2, arbitrary: fc.constant('let writes go' as const) },
  { weight: 1, arbitrary: fc.constant('time' as const) },
)
type StepKind = typeof step extends fc.Arbitrary<infer T> ? T : never

const MESSAGES = 8

/** A device with a storage that outlives it, and a server that believes its acks. */
class Device {
  readonly storage = new TestStorage()
  rig: HandlingRig | null = null
  /** The server: everything up to here was acknowledged; sent up to there on this connection. */
  cursor = 0
  sent = 0
  #ends: Array<{ readonly resolve: () => void; readonly reject: (error: Error) => void }> = []
  /** Per seq: how often the handler was started, and whether it ended well. */
  readonly starts = new Map<number, number>()
  readonly ended = new Set<number>()
  readonly order: number[] = []
  running = 0

  async boot(): Promise<void> {
    // The process before is dead: what it may still do in this one's memory counts for nothing.
    this.rig = null
    this.storage.letGo()
    this.#ends = []
    this.running = 0
    const rig: HandlingRig = await HandlingRig.make({
      storage: this.storage,
      settings: { retry: { attempts: 1_000, minMs: 10, maxMs: 20 } },
      behaviour: (message) => {
        if (this.rig !== rig) return new Promise(() => {})
        const before = this.starts.get(message.seq) ?? 0
        if (rig.lane.memory.record.wasHandled(E1, message.seq)) throw new Error('a recorded message is started')
        if (before > 0 && message.attempt === 1) throw new Error('a rerun says that it is the first run')
        if (this.running > 0) throw new Error('two handlers of a log at once')
        this.starts.set(message.seq, before + 1)
        if (before === 0) this.order.push(message.seq)
        this.running++
        return new Promise<void>((resolve, reject) => {
          this.#ends.push({
            resolve: () => {
              this.running--
              this.ended.add(message.seq)
              resolve()
            },
            reject: (error) => {
              this.running--
              reject(error)
            },
          })
        })
      },
    })
    this.rig = rig
    this.connect()
  }

  connect(): void {
    this.sent = this.cursor
    this.rig?.welcome(this.cursor, MESSAGES)
  }

  frame(): void {
    if (this.sent === MESSAGES) return
    const seqs = this.sent + 2 <= MESSAGES ? [this.sent + 1, this.sent + 2] : [this.sent + 1]
    const broken = this.rig?.data(this.sent, seqs)
    if (typeof broken === 'string') throw new Error(broken)
    this.sent += seqs.length
  }

  end(well: boolean): void {
    const end = this.#ends.shift()
    if (well) end?.resolve()
    else end?.reject(new Error('thrown'))
  }

  /** Acks reach the server. Only what was recorded, in the storage, may be among them. */
  async takeAcks(): Promise<void> {
    await settle()
    const rig = this.rig
    if (rig === null) return
    if (rig.stopped !== null) throw rig.stopped
    for (const line of rig.told.splice(0)) {
      if (!line.startsWith('ack ')) continue
      const seq = Number(line.slice(4))
      if (!this.ended.has(seq)) throw new Error(`${seq} is acknowledged; its handler never ended`)
      const recorded = await HandlingRig.make({ storage: this.storage })
      if (!recorded.lane.memory.record.wasHandled(E1, seq)) throw new Error(`${seq} is acknowledged, not recorded`)
      this.cursor = Math.max(this.cursor, seq)
    }
  }

  async take(kind: StepKind): Promise<void> {
    if (kind === 'handler ends' || kind === 'handler throws') this.end(kind === 'handler ends')
    else if (kind === 'frame') this.frame()
    else if (kind === 'reconnect') this.connect()
    else if (kind === 'hold writes') this.storage.hold()
    else if (kind === 'let writes go') this.storage.letGo()
    else if (kind === 'time') this.rig?.clock.advance(20)
    else await this.boot()
    await this.takeAcks()
  }
}

void t.test(
  'SDK handling: whatever is cut, killed or slow, all is handled in order, and nothing recorded is run again',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const device = new Device()
        await device.boot()
        for (const each of steps) await device.take(each)
        for (let i = 0; device.cursor < MESSAGES; i++) {
          if (i > 200) throw new Error('it does not come to an end')
          for (const each of ['let writes go', 'frame', 'handler ends', 'time'] as const) await device.take(each)
        }
        const inOrder = device.order.every((seq, i) => seq === i + 1)
        if (!inOrder || device.order.length !== MESSAGES) throw new Error(`handled ${device.order.join(' ')}`)
      }),
      { numRuns: process.env['CI_LONG'] === undefined ? 150 : 5_000 },
    )
  },
)
