// More than 400 lines: all steps read and write the one state, and each is only to be judged beside the others.
//
// What can happen in a simulated world, and what must never: the real courier machines between a reference inbox, a device
// (plain, or the SDK's stream mode) and a producer. Every step is atomic, and any step that is possible may be the next; a timeout is a step that may
// come at any moment, a slow or frozen node one whose steps come late. Invariants:
//   I1 strictly increasing on a connection; I2 at rest everything in the store is handled or an exception; I3 the handler is
//   never started for what is recorded, and no new message passes for an old one (stream mode); I4 the cursor passes nothing
//   unacknowledged; I5 one owner; I6 dedup; I7 pending; I8 what is told is true; G8 the window.

import type { CloseCode } from '../../../protocol/codes.js'
import type { GapReason } from '../../../protocol/frames/frame-types.js'
import { CourierCounters } from '../../../courier/courier-counters.js'
import { Hold } from '../../../courier/holds.js'
import type { CourierEffects, MachineContext } from '../../../courier/machine-types.js'
import type { Position, StoredMessage } from '../../../core/model/message.js'
import type { ResumeResult } from '../../../core/ports/mailbox.js'
import type { Model, Step } from './explore.js'
import * as inbox from './reference-inbox.js'
import * as sdk from './sdk-device.js'
import { loadResult, saveResult, SimMachine } from './sim-machine.js'
import { midOf, simMessage } from './sim-message.js'
import { Violation } from './violation.js'
import {
  claimIdOf,
  cloneWorld,
  type ConnData,
  epochNumber,
  type Faults,
  type Frame,
  newWorld,
  type Scenario,
  type UpFrame,
  type World,
  type WorldRules,
} from './world-data.js'

export const FINAL_RULES: WorldRules = {
  machine: SimMachine,
  inbox: {},
  packetIds: 'random',
  kickNamesClaim: true,
  generation: 'unique',
  purge: 'new-epoch',
  sdk: {},
}

const NODES = ['A', 'B'] as const

export class Simulation implements Model<World>, CourierEffects {
  readonly counters = new CourierCounters()
  private readonly scenario: Scenario
  private readonly rules: WorldRules
  private readonly inboxRules: inbox.InboxRules
  private readonly sdkRules: sdk.SdkRules
  private readonly context: MachineContext
  private readonly machine: SimMachine
  /** The step that is being taken. */
  private w: World
  private c: ConnData | undefined = undefined
  private closeCode: CloseCode | null | undefined = undefined
  private out: Array<Step<World>> = []

  constructor(scenario: Scenario, rules: WorldRules = FINAL_RULES) {
    this.scenario = scenario
    this.rules = rules
    const { cap = 0, epochsKept = 16, window = 2, pageSize = 2, socketLimit = Infinity } = scenario
    this.inboxRules = { ...inbox.INBOX_RULES, cap, epochsKept, ...rules.inbox }
    this.sdkRules = { ...sdk.SDK_RULES, ...rules.sdk }
    this.context = {
      counters: this.counters,
      limits: {
        window,
        windowMax: window,
        windowBytes: Infinity,
        pageMessages: pageSize,
        pageBytes: Infinity,
        bufferLimit: socketLimit,
        fullBufferMs: 10_000,
        unackedMs: 60_000,
        helloMs: 10_000,
      },
    }
    this.machine = new rules.machine('', 0, this.context, this)
    this.w = newWorld(scenario)
  }

  initial(): World {
    return newWorld(this.scenario)
  }

  // ----- what the machines do ------------------------------------------------------------------------------------------

  sendMessage(epoch: string, message: StoredMessage, packet: number, _redelivered: boolean, prev: number): void {
    const { w, c } = this
    if (c === undefined) throw new Error('a machine acts outside of a step')
    const mid = midOf(message)
    const place: [number, number] = [epochNumber(epoch), message.seq]
    const [e, q] = c.last
    if (place[0] < e || message.seq <= q) {
      throw new Violation('I1', `connection ${c.id}: ${epoch}/${message.seq} is sent after e${e}/${q}`)
    }
    c.last = place
    if ((w.ghost.owners[mid] ?? 0) > c.claimed) {
      throw new Violation('I5', `connection ${c.id} is sent m${mid}, which was appended after it had lost its claim`)
    }
    const position = { epoch, seq: message.seq }
    c.flight = [...c.flight, this.isStream ? position : packet]
    if (c.flight.length > this.context.limits.window) {
      throw new Violation('G8', `connection ${c.id} has ${c.flight.length} messages in flight`)
    }
    this.toDevice(c, this.isStream ? { t: 'frame', position, prev, mid } : { t: 'data', mid, packet })
  }

  handled(): void {}

  sendWelcome(position: Position): void {
    this.toDevice(this.c, { t: 'welcome', position })
    if (this.c !== undefined) this.c.last = [epochNumber(position.epoch), position.seq]
  }

  sendReset(position: Position): void {
    this.toDevice(this.c, { t: 'reset', position })
  }

  sendGap(epoch: string, from: number, to: number, reason: GapReason): void {
    this.toDevice(this.c, { t: 'gap', epoch, from, to, reason })
  }

  private toDevice(c: ConnData | undefined, frame: Frame): void {
    if (c?.device === true) c.down = [...c.down, frame]
  }

  private get isStream(): boolean {
    return this.scenario.mode === 'stream'
  }

  bufferedBytes(): number {
    return this.scenario.socketLimit === undefined ? 0 : this.buffered(this.c)
  }

  private buffered(c: ConnData | undefined): number {
    return c === undefined ? 0 : c.down.length
  }

  wantRead(): void {
    if (this.c !== undefined) this.c.wantRead = true
  }

  wantFlush(): void {} // the machine's own `flushWanted` is looked at

  closing(code: CloseCode | null): void {
    this.closeCode = code
  }

  /** Runs one event of a connection's machine, and what follows from it. */
  private drive<T>(w: World, c: ConnData, event: (machine: SimMachine) => T): T {
    const { machine } = this
    machine.restore(c.m)
    this.w = w
    this.c = c
    this.closeCode = undefined
    const answer = event(machine)
    const code: CloseCode | null | undefined = this.closeCode
    if (code !== undefined) this.closed(w, c, code)
    this.save(c)
    return answer
  }

  private save(c: ConnData): void {
    let m = this.machine.snapshot()
    if (this.scenario.watermarks !== true) m = { ...m, wire: ['', 0, '', 0] }
    if (c.sweep === null) m = { ...m, swept: [0, false, false] }
    c.m = m
  }

  /** The end of a connection, as the shell makes it: what was acked is on its way, the claim is released. */
  private closed(w: World, c: ConnData, code: CloseCode | null): void {
    if (code === 'taken_over' && w.counters.claimOrder - 1 <= c.claimed) {
      throw new Violation(
        'I8',
        `connection ${c.id} is told that it was taken over; nobody has asked for the device since`,
      )
    }
    const late: Array<{ node: number; position: Position }> = []
    if (c.flush !== null && !c.flush.merged) late.push({ node: c.node, position: c.flush.position })
    if (c.flush !== null) this.machine.flushDone()
    const rest = this.machine.takeFlush()
    if (rest !== null) late.push({ node: c.node, position: rest.position })
    w.lateAcks = [...w.lateAcks, ...late]
    if (w.store.claim !== null) this.change(w, inbox.release(w.store, claimIdOf(c.id), this.inboxRules))
    c.server = false
    c.read = c.flush = c.sweep = null
    c.wantRead = false
    c.up = []
    this.toDevice(c, { t: 'bye', code: code ?? 'resync' })
  }

  // ----- the store -----------------------------------------------------------------------------------------------------

  private change(w: World, next: inbox.InboxData): void {
    if (next === w.store) return
    const { historyLength = 3 } = this.scenario
    if ((w.faults['failover'] ?? 0) > 0 && historyLength > 0) w.history = [...w.history, w.store].slice(-historyLength)
    w.store = next
  }

  private witness(w: World): inbox.InboxWitness {
    return {
      passed(mid, excepted, seq) {
        if (!excepted && !w.ghost.handled.includes(mid) && !w.ghost.excepted.includes(mid)) {
          throw new Violation('I4', `the cursor moves over seq ${seq} (m${mid}), which nobody handled`)
        }
      },
      excepted(mid) {
        w.ghost = { ...w.ghost, excepted: [...w.ghost.excepted, mid] }
      },
      dropped: (mid) => {
        if (this.isStream) w.ghost = { ...w.ghost, dropped: [...w.ghost.dropped, mid] }
      },
    }
  }

  private mergeAck(w: World, position: Position, sent: Position | null): void {
    let next = inbox.ack(w.store, position, this.inboxRules, this.witness(w))
    const mid = w.ghost.names.indexOf(`${position.epoch}/${position.seq}`)
    if (mid > 0 && inbox.midAt(next, position.seq) === mid && next.cursor < position.seq) {
      throw new Violation('I4', `m${mid} is acknowledged and in the store, yet the cursor stays at ${next.cursor}`)
    }
    if (sent !== null) next = inbox.markSent(next, sent)
    this.change(w, next)
  }

  private resume(w: World, claimId: string, position: Position | null): ResumeResult {
    const { data, answer } = inbox.resume(w.store, claimId, position, this.inboxRules, this.witness(w))
    this.change(w, data)
    return answer
  }

  private append(w: World, id: number): inbox.Appended {
    const earlier = w.ghost.copies[id] ?? 0
    const done = inbox.append(
      w.store,
      id,
      w.counters.mid,
      () => `e${w.counters.epoch++}`,
      this.inboxRules,
      this.witness(w),
    )
    if (!done.fresh) {
      if (done.mid !== earlier)
        throw new Violation('I6', `the retry of message ${id} is answered with another message's seq`)
      return done
    }
    if (earlier !== 0 && !w.ghost.lost.includes(earlier)) throw new Violation('I6', `a second copy of message ${id}`)
    w.counters.mid++
    this.change(w, done.data)
    w.ghost = {
      ...w.ghost,
      copies: w.ghost.copies.with(id, done.mid),
      names: [...w.ghost.names, `${done.epoch}/${done.seq}`],
      owners: [...w.ghost.owners, w.store.claim === null ? 0 : w.store.claimOrder],
    }
    return done
  }

  // ----- connections ---------------------------------------------------------------------------------------------------

  private connect(w: World, node: number): void {
    const id = w.counters.conn++
    if (w.counters.conn > (this.scenario.connectionLimit ?? 9))
      throw new Violation('I5', 'the device reconnects without end')
    const base = { random: (w.counters.packet += 8), restart: 0, stored: w.store.claimOrder * 8 }[this.rules.packetIds]
    const firstPacket = (w.faults['stalePuback'] ?? 0) > 0 ? base : 0
    const fresh = new this.rules.machine(claimIdOf(id), firstPacket, this.context, this)
    const c: ConnData = {
      id,
      node,
      device: true,
      server: true,
      kicked: false,
      claimed: 0,
      m: fresh.snapshot(),
      wantRead: false,
      read: null,
      flush: null,
      sweep: null,
      down: [],
      up: this.isStream ? [{ t: 'hello', position: w.device.sdk.position }] : [],
      greeted: false,
      last: [0, 0],
      flight: [],
    }
    w.conns.push(c)
    w.device = { ...w.device, conn: id, held: [], sdk: { ...w.device.sdk, expected: -1 } }
    if (this.scenario.slowClaims !== true) {
      this.kickOwner(w, c)
      this.claim(w, c)
    }
  }

  private kickOwner(w: World, c: ConnData): void {
    c.kicked = true
    w.counters.claimOrder++ // from here on somebody is taking the device
    const { claim } = w.store
    if (claim === null || this.scenario.kicks !== true) return
    w.kicks = [...w.kicks, { node: NODES.indexOf(claim.node === 'A' ? 'A' : 'B'), claimId: claim.claimId }]
  }

  private claim(w: World, c: ConnData): void {
    const mine = { node: NODES[c.node] ?? 'A', claimId: claimIdOf(c.id) }
    const { data, answer } = inbox.claim(w.store, mine, w.counters.claimOrder, true)
    if (!answer.ok) throw new Error('unreachable: by force')
    c.claimed = w.counters.claimOrder++
    this.change(w, data)
    c.last = [epochNumber(answer.position.epoch), answer.position.seq]
    this.drive(w, c, (machine) => {
      machine.claimed(answer)
      machine.begin(this.scenario.mode)
    })
  }

  /** The next thing that the device has sent reaches the server. */
  private serverTakes(w: World, c: ConnData): void {
    const [frame, ...rest] = c.up
    c.up = rest
    if (frame === undefined) return
    if (typeof frame === 'number') {
      this.leaveFlight(c, frame)
      this.drive(w, c, (m) => m.acked(frame))
    } else if (frame.t === 'hello') {
      this.drive(w, c, (m) => {
        if (!m.hello(frame.position, this.context.limits.window)) throw new Error('a hello was refused')
      })
    } else {
      const { epoch, seq } = frame.position
      const last = c.flight.findLastIndex((p) => typeof p === 'object' && p.epoch === epoch && p.seq <= seq)
      c.flight = c.flight.slice(last + 1)
      this.drive(w, c, (m) => m.ackedUpTo(frame.position))
    }
  }

  private deviceTakes(w: World, c: ConnData): void {
    const [frame, ...rest] = c.down
    c.down = rest
    if (frame === undefined) return
    if (frame.t === 'bye') {
      c.device = false
      c.down = []
      if (w.device.conn !== c.id) return // another process of this device: it stays away
      w.device = { ...w.device, conn: 0, held: [] }
      if (this.isStream && frame.code === 'taken_over') {
        w.device = { ...w.device, sdk: sdk.takenOver(w.device.sdk, this.sdkRules) }
      }
      return
    }
    if (frame.t !== 'data') {
      w.device = { ...w.device, sdk: this.sdkTakes(w, c, frame) }
      return
    }
    if (this.scenario.unorderedPubacks === true && w.device.conn === c.id) {
      w.device = { ...w.device, held: [...w.device.held, [frame.mid, frame.packet]] }
      return
    }
    this.handle(w, frame.mid)
    if ((w.faults['stalePuback'] ?? 0) > 0) {
      w.device = { ...w.device, unconfirmed: [...w.device.unconfirmed, frame.packet] }
    }
    if (c.server) c.up = [...c.up, frame.packet]
  }

  private sdkTakes(w: World, c: ConnData, frame: Exclude<Frame, { t: 'data' | 'bye' }>): sdk.SdkData {
    const device = w.device.sdk
    const { ghost } = w
    if (frame.t === 'welcome' || frame.t === 'reset') {
      c.greeted = true
      if (frame.t === 'reset') w.ghost = { ...ghost, told: [...new Set([...ghost.told, ...ghost.dropped])] }
      return sdk.welcomed(device, frame.position, frame.t === 'reset', this.sdkRules)
    }
    if (device.expected < 0) throw new Violation('I1', `connection ${c.id}: ${frame.t} comes before the welcome`)
    if (frame.t === 'gap') {
      for (let seq = frame.from; seq <= frame.to; seq++) this.checkGap(w, seq, frame.reason)
      return sdk.toldOfGap(device, { epoch: frame.epoch, seq: frame.to })
    }
    const { position, mid } = frame
    sdk.checkPrev(device, frame.prev)
    if (sdk.isRecorded(device, position)) {
      if (!ghost.handled.includes(mid) && !ghost.excepted.includes(mid)) {
        throw new Violation('I3', `the SDK takes m${mid} for handled; its handler never ran`)
      }
      this.acknowledge(w, position)
      return sdk.repeated(device, position)
    }
    if (ghost.recorded.includes(mid)) {
      throw new Violation('I3', `the handler starts again for m${mid}, whose handling was recorded`)
    }
    if (this.sdkRules.acks === 'on-receipt') this.acknowledge(w, position)
    return sdk.started(device, position, mid)
  }

  /** What the device is told of a seq must be true of a message that has stood there. */
  private checkGap(w: World, seq: number, reason: GapReason): void {
    const { ghost } = w
    const mids = ghost.names.flatMap((name, mid) => (name.endsWith(`/${seq}`) ? [mid] : []))
    // Or it was an exception, which the store lost in a failover before an ack passed it.
    const lostException = !w.store.exceptions.includes(seq) && mids.some((mid) => ghost.excepted.includes(mid))
    if (reason === 'handled-elsewhere' && !lostException && !mids.some((mid) => ghost.handled.includes(mid))) {
      throw new Violation('I8', `the device is told that ${seq} was handled elsewhere; nobody handled it`)
    }
    if (reason !== 'handled-elsewhere') {
      const dropped = mids.filter((mid) => ghost.dropped.includes(mid))
      if (dropped.length === 0) throw new Violation('I8', `the device is told that ${seq} was dropped; it was not`)
      w.ghost = { ...ghost, told: [...new Set([...ghost.told, ...dropped])].toSorted((a, b) => a - b) }
    }
  }

  /** Cumulative: an ack that has not left yet is replaced. */
  private acknowledge(w: World, position: Position): void {
    const c = w.conns.find((x) => x.id === w.device.conn)
    if (c?.server !== true) return
    const last = c.up.at(-1)
    const kept = typeof last === 'object' && last.t === 'ack' ? c.up.slice(0, -1) : c.up
    c.up = [...kept, { t: 'ack', position }]
  }

  private finishHandler(w: World): void {
    const { busy } = w.device.sdk
    if (busy === null) return
    const [epoch, seq, mid] = busy
    this.handle(w, mid)
    w.ghost = { ...w.ghost, recorded: [...new Set([...w.ghost.recorded, mid])].toSorted((a, b) => a - b) }
    w.device = { ...w.device, sdk: sdk.finished(w.device.sdk, this.sdkRules) }
    this.acknowledge(w, { epoch, seq })
  }

  private crash(w: World): void {
    if (w.device.conn !== 0) this.disconnect(w)
    w.device = { ...w.device, sdk: sdk.crashed(w.device.sdk, this.sdkRules) }
  }

  private handle(w: World, mid: number): void {
    if (!w.ghost.handled.includes(mid)) {
      w.ghost = { ...w.ghost, handled: [...w.ghost.handled, mid].toSorted((a, b) => a - b) }
    }
  }

  private disconnect(w: World): void {
    const c = w.conns.find((x) => x.id === w.device.conn)
    w.device = { ...w.device, conn: 0, held: [] }
    if (c === undefined) return
    if (this.isStream && this.scenario.slowClaims === true && !c.greeted) {
      const { abandoned } = w.device.sdk
      w.device = { ...w.device, sdk: { ...w.device.sdk, abandoned: abandoned + 1 } }
    }
    c.device = false
    c.down = []
  }

  // ----- every step ----------------------------------------------------------------------------------------------------

  private step(s: World, label: string, fault: keyof Faults | null, apply: (w: World) => boolean | void): void {
    if (fault !== null && !((s.faults[fault] ?? 0) > 0)) return
    const w = cloneWorld(s)
    if (fault !== null) w.faults[fault] = (w.faults[fault] ?? 0) - 1
    let next: World | Violation = w
    try {
      if (apply(w) === false) return // nothing would happen
      this.normalize(w)
      this.checkAlways(w)
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      next = error
    }
    this.out.push({ label, fault: fault !== null, next })
  }

  successors(s: World): Array<Step<World>> {
    this.out = []
    this.producerSteps(s)
    this.busSteps(s)
    s.conns.forEach((c, i) => this.connectionSteps(s, c, i))
    this.deviceSteps(s)
    this.faultSteps(s)
    return this.out
  }

  private producerSteps(s: World): void {
    const { notices = true } = this.scenario
    const id = s.producer.findIndex((state) => state !== 2)
    const push = (w: World, which: number, lost: boolean): void => {
      const { epoch, seq, mid, fresh } = this.append(w, which)
      w.producer = w.producer.with(which, 2)
      w.ghost = { ...w.ghost, accepted: [...w.ghost.accepted, mid] }
      const { claim } = w.store
      if (lost || !notices || claim === null || !fresh) return
      w.notices = [...w.notices, { node: claim.node === 'A' ? 0 : 1, claimId: claim.claimId, epoch, seq, mid }]
    }
    if (id >= 0) {
      this.step(s, `append ${id}`, null, (w) => push(w, id, false))
      if (notices && s.store.claim !== null && this.scenario.lossless !== true)
        this.step(s, `append ${id}, its notice is lost`, null, (w) => push(w, id, true))
      this.step(s, `append ${id}, the answer is lost`, 'unknownOutcome', (w) => {
        this.append(w, id)
        w.producer = w.producer.with(id, 1)
      })
    }
    s.producer.forEach((state, i) => {
      if (state === 2) this.step(s, `append ${i} again`, 'retry', (w) => push(w, i, true))
    })
  }

  private busSteps(s: World): void {
    s.notices.forEach((notice, i) => {
      const { node, claimId, epoch, seq, mid } = notice
      const label = `notice ${epoch}/${seq} reaches node ${NODES[node]}`
      const deliver = (w: World): void => {
        for (const c of w.conns) {
          if (c.server && c.node === node) this.drive(w, c, (m) => m.notice(epoch, claimId, simMessage(seq, mid)))
        }
      }
      this.step(s, label, null, (w) => {
        w.notices = w.notices.toSpliced(i, 1)
        deliver(w)
      })
      this.step(s, `${label}, and will again`, 'duplicateNotice', deliver)
    })
    s.kicks.forEach(({ node, claimId }, i) => {
      this.step(s, `kick of ${claimId} reaches node ${NODES[node]}`, null, (w) => {
        w.kicks = w.kicks.toSpliced(i, 1)
        for (const c of w.conns) {
          if (!c.server || c.node !== node) continue
          this.drive(w, c, (m) => m.kick(this.rules.kickNamesClaim ? claimId : m.claimId, 'taken_over'))
        }
      })
    })
    s.lateAcks.forEach(({ position }, i) => {
      this.step(s, `late ack ${position.epoch}/${position.seq} reaches the store`, null, (w) => {
        w.lateAcks = w.lateAcks.toSpliced(i, 1)
        this.mergeAck(w, position, null)
      })
    })
  }

  private connectionSteps(s: World, c: ConnData, i: number): void {
    const name = `connection ${c.id} (${NODES[c.node]})`
    const at = (label: string, fault: keyof Faults | null, apply: (w: World, x: ConnData) => boolean | void): void =>
      this.step(s, `${name}: ${label}`, fault, (w) => {
        const x = w.conns[i]
        return x === undefined ? false : apply(w, x)
      })
    if (c.server) {
      if (c.claimed === 0) {
        if (!c.kicked) at('node asks the owner to go', null, (w, x) => this.kickOwner(w, x))
        else at('node claims the device', null, (w, x) => this.claim(w, x))
      }
      if (!c.device) {
        at('server sees the end of the socket', null, (w, x) => this.drive(w, x, (m) => m.close(null)))
      }
      const [taken] = c.up
      // A device says hello while it is subscribed, or the connection would be closed.
      const early =
        this.isStream &&
        (c.claimed === 0 || (c.m.stream?.greeting === 'waiting' && (c.m.holds & Hold.notSubscribed) !== 0))
      if (taken !== undefined && !early) {
        at(describeUp(taken), null, (w, x) => this.serverTakes(w, x))
      }
      if (c.claimed !== 0) this.courierSteps(c, at)
    }
    const [frame] = c.down
    if (c.device && frame !== undefined && s.device.sdk.busy === null) {
      at(`device takes ${describe(frame)}`, null, (w, x) => this.deviceTakes(w, x))
    }
  }

  /** Counts what is in flight without asking the machine. */
  private leaveFlight(x: ConnData, packet: number): void {
    let flight = x.flight.map((p) => (p === packet ? -1 : p))
    while (flight[0] === -1) flight = flight.slice(1)
    x.flight = flight
  }

  private courierSteps(
    c: ConnData,
    at: (label: string, fault: keyof Faults | null, apply: (w: World, x: ConnData) => boolean | void) => void,
  ): void {
    const slow = this.scenario.slowStore === true
    // A courier whose device is gone may go on reading and writing: nobody can see it.
    if (c.wantRead && c.device) {
      const ask = (answer: boolean) => (w: World, x: ConnData) => {
        x.wantRead = false
        this.drive(w, x, (m) => {
          const hello = m.takeResume()
          if (hello !== null) {
            if (!answer) m.readFailed()
            else if (slow) x.read = { resume: hello.position }
            else m.resumed(this.resume(w, m.claimId, hello.position))
            if (!answer) m.retryRead()
            return
          }
          const request = m.takeRead()
          if (request === null) return
          if (!answer) m.readFailed()
          else if (slow) x.read = { request }
          else m.readDone(inbox.read(w.store, m.claimId, request, this.inboxRules))
          if (!answer) m.retryRead()
        })
      }
      at('courier reads', null, ask(true))
      at('courier reads, the store fails', 'readFails', ask(false))
    }
    const { read, flush, sweep } = c
    if (read !== null && 'resume' in read) {
      at('the store resumes', null, (w, x) => {
        x.read = { resumed: this.resume(w, claimIdOf(x.id), read.resume) }
      })
    }
    if (read !== null && 'resumed' in read && c.device) {
      at('the place to resume from arrives', null, (w, x) => {
        x.read = null
        this.drive(w, x, (m) => m.resumed(read.resumed))
      })
    }
    if (read !== null && 'request' in read) {
      at('the store reads', null, (w, x) => {
        x.read = { result: saveResult(inbox.read(w.store, claimIdOf(x.id), read.request, this.inboxRules)) }
      })
    }
    if (read !== null && 'result' in read && c.device) {
      at('the page arrives', null, (w, x) => {
        x.read = null
        this.drive(w, x, (m) => m.readDone(loadResult(read.result)))
      })
    }
    if (c.m.page !== null && c.m.page[0]?.length === 4) {
      at('the node itself takes a message for expired', 'nodeExpiry', (_w, x) => {
        const [entry, ...rest] = x.m.page ?? []
        if (entry?.length !== 4) return
        x.m = { ...x.m, page: [[entry[0], entry[2], 'expired'], ...rest] }
      })
    }
    if (
      flush === null &&
      (c.m.flushWanted !== 'no' || (this.scenario.watermarks === true && c.m.wire[1] !== c.m.wire[3]))
    ) {
      const go = (fails: boolean, merged: boolean) => (w: World, x: ConnData) => {
        this.drive(w, x, (m) => {
          const item = m.takeFlush()
          if (item === null) return
          if (fails) {
            if (merged) this.mergeAck(w, item.position, item.sent)
            m.flushFailed()
          } else if (slow) x.flush = { ...item, merged: false }
          else {
            this.mergeAck(w, item.position, item.sent)
            m.flushDone()
          }
        })
      }
      at('courier flushes', null, go(false, true))
      at('courier flushes, the store fails', 'flushFails', go(true, false))
      at('courier flushes, the answer is lost', 'flushFails', go(true, true))
    }
    if (flush !== null && !flush.merged) {
      at('the store merges the ack', null, (w, x) => {
        x.flush = { ...flush, merged: true }
        this.mergeAck(w, flush.position, flush.sent)
      })
    }
    if (flush !== null && flush.merged) {
      at('the flush is confirmed', null, (w, x) => {
        x.flush = null
        this.drive(w, x, (m) => m.flushDone())
      })
    }
    if (sweep === null) {
      const holdsBefore = c.m.holds
      at('sweep', null, (w, x) => {
        const found = this.drive(w, x, (m) => m.swept(inbox.headOf(w.store, m.sweepAsked()), true))
        return found !== null || x.m.holds !== holdsBefore
      })
      if (slow) {
        at('the store looks for the sweep', 'idleSweep', (w, x) => {
          x.sweep = { acked: null, seen: null, confirms: true }
          const acked = this.drive(w, x, (m) => m.sweepAsked())
          x.sweep = { acked, seen: inbox.headOf(w.store, acked), confirms: true }
        })
      }
    } else {
      at("the sweep's answer arrives", null, (w, x) => {
        x.sweep = null
        this.drive(w, x, (m) => m.swept(sweep.seen, sweep.confirms))
      })
    }
    if ((c.m.holds & Hold.socketFull) !== 0 && this.buffered(c) < this.context.limits.bufferLimit) {
      at('the socket has drained', null, (w, x) => this.drive(w, x, (m) => m.drained()))
    }
    if ((c.m.holds & Hold.notSubscribed) === 0) {
      at('UNSUBSCRIBE', 'unsubscribe', (w, x) => this.drive(w, x, (m) => m.pause()))
    } else if (c.device) at('SUBSCRIBE again', null, (w, x) => this.drive(w, x, (m) => m.begin(this.scenario.mode)))
    if (c.m.page !== null) {
      at('a second passes', 'tick', (w, x) =>
        this.drive(w, x, (m) => {
          m.tick(0)
          m.tick(0)
        }),
      )
    }
  }

  private deviceSteps(s: World): void {
    s.device.held.forEach(([mid, packet], i) => {
      this.step(s, `device handles m${mid}, PUBACK ${packet}`, null, (w) => {
        w.device = { ...w.device, held: w.device.held.toSpliced(i, 1) }
        this.handle(w, mid)
        const c = w.conns.find((x) => x.id === w.device.conn)
        if (c?.server === true) c.up = [...c.up, packet]
      })
    })
    if (s.device.sdk.busy !== null) {
      this.step(s, 'the handler resolves, is recorded', null, (w) => this.finishHandler(w))
      this.step(s, 'the handler resolves, the device dies before the record', 'deviceCrash', (w) => {
        this.handle(w, w.device.sdk.busy?.[2] ?? 0)
        this.crash(w)
      })
    }
    NODES.forEach((name, k) => {
      if (s.device.sdk.stopped) return
      if (s.device.conn === 0) {
        if (k === 0 || s.counters.conn > 1) this.step(s, `device connects to ${name}`, null, (w) => this.connect(w, k))
      } else if (!this.isStream) {
        this.step(s, `a second client of the device connects to ${name}`, 'twin', (w) => this.connect(w, k))
      }
    })
    const own = s.conns.find((x) => x.id === s.device.conn)
    if (own === undefined) return
    this.step(s, 'connection cut', 'cut', (w) => this.disconnect(w))
    this.step(s, 'the device dies', 'deviceCrash', (w) => this.crash(w))
    if (!own.server) return
    for (const packet of s.device.unconfirmed) {
      if (own.down.some((frame) => frame.t === 'data' && frame.packet === packet)) continue
      this.step(s, `device sends PUBACK ${packet} (again)`, 'stalePuback', (w) => {
        const c = w.conns.find((x) => x.id === own.id)
        if (c !== undefined) c.up = [...c.up, packet]
      })
    }
  }

  private faultSteps(s: World): void {
    NODES.forEach((name, k) => {
      if (!s.conns.some((c) => c.server && c.node === k) && !s.lateAcks.some((ack) => ack.node === k)) return
      this.step(s, `node ${name} dies`, 'nodeCrash', (w) => {
        w.lateAcks = w.lateAcks.filter(({ node }) => node !== k)
        for (const c of w.conns) {
          if (c.node !== k) continue
          if (w.device.conn === c.id) w.device = { ...w.device, conn: 0, held: [] }
          c.server = c.device = false
        }
      })
      this.step(s, `node ${name} cannot confirm its claims`, 'unconfirmed', (w) => {
        for (const c of w.conns) {
          if (!c.server || c.node !== k) continue
          this.drive(w, c, (m) => m.unconfirmed())
          if (c.sweep !== null) c.sweep = { ...c.sweep, confirms: false }
        }
      })
    })
    for (let lost = 0; lost <= s.history.length; lost++) {
      this.step(s, `store failover, the last ${lost} changes are lost`, 'failover', (w) => this.failover(w, lost))
    }
    for (let seq = s.store.cursor + 1; seq <= s.store.head; seq++) {
      if (s.store.exceptions.includes(seq)) continue
      this.step(s, `message ${seq} is cancelled or expires`, 'except', (w) => {
        this.change(w, inbox.except(w.store, seq, this.inboxRules, this.witness(w)))
      })
    }
    if (s.device.conn === 0) {
      this.step(s, "the device's storage is wiped", 'wipe', (w) => {
        w.device = { ...w.device, sdk: sdk.wiped(w.device.sdk) }
        w.ghost = { ...w.ghost, recorded: [] }
      })
      this.step(s, 'another client of the device handles all that is pending', 'otherClient', (w) => {
        const { store } = w
        for (let seq = store.cursor + 1; seq <= store.head; seq++) {
          if (!store.exceptions.includes(seq)) this.handle(w, inbox.midAt(store, seq))
        }
        this.change(w, { ...inbox.moveCursor(store, store.head, this.inboxRules, this.witness(w)), claim: null })
      })
    }
    this.step(s, 'the device is purged and created again', 'purge', (w) => {
      w.ghost = { ...w.ghost, lost: [...w.ghost.lost, ...w.store.mids] }
      w.history = []
      const epoch = this.rules.purge === 'same-epoch' ? inbox.lastEpoch(w.store) : `e${w.counters.epoch++}`
      w.store = inbox.newInbox(epoch, w.store.generation)
    })
  }

  private failover(w: World, lost: number): void {
    const back = lost === 0 ? w.store : (w.history[w.history.length - lost] ?? w.store)
    const gone = w.store.mids.filter((mid) => !back.mids.includes(mid))
    w.ghost = { ...w.ghost, lost: [...w.ghost.lost, ...gone] }
    const generation =
      this.rules.generation === 'unique' ? `g${w.counters.generation++}` : w.store.generation === 'g1' ? 'g2' : 'g1'
    const stamp = (data: inbox.InboxData): inbox.InboxData => ({ ...data, generation })
    w.history = w.history.slice(0, w.history.length - lost).map(stamp)
    w.store = stamp(back)
  }

  // ----- what must hold ------------------------------------------------------------------------------------------------

  /** Drops what can have no effect any more, and orders what has no order, so that equal situations are equal states. */
  private normalize(w: World): void {
    w.conns = w.conns.filter((c) => c.device || c.server)
    for (const c of w.conns) {
      if (c.server) continue
      c.m = DEAD
      c.flight = []
    }
    if (!((w.faults['failover'] ?? 0) > 0)) w.history = []
    const alive = (node: number, claimId: string): boolean =>
      w.conns.some((c) => c.server && c.node === node && (claimIdOf(c.id) === claimId || !this.rules.kickNamesClaim))
    const served = (node: number): boolean => w.conns.some((c) => c.server && c.node === node)
    const strict = this.rules.machine === SimMachine
    w.notices = w.notices
      .filter(({ node, claimId }) => (strict ? alive(node, claimId) : served(node)))
      .toSorted((a, b) => a.seq - b.seq || epochNumber(a.epoch) - epochNumber(b.epoch) || a.mid - b.mid)
    w.kicks = w.kicks.filter(({ node, claimId }) => alive(node, claimId))
  }

  private checkAlways(w: World): void {
    const { store } = w
    const due = inbox.deliverable(store)
    if (store.pending !== due) throw new Violation('I7', `pending is ${store.pending}, ${due} messages are deliverable`)
    if (store.cursor > store.head) throw new Violation('I4', `cursor ${store.cursor} is past the head ${store.head}`)
  }

  atRest(w: World): void {
    const { store, device, ghost, conns } = w
    const [c] = conns
    if (device.sdk.stopped)
      throw new Violation('I5', 'the device was told never to come back, though nobody took its place')
    if (c === undefined || conns.length !== 1 || c.id !== device.conn || !c.server) {
      throw new Violation('I5', `${conns.length} connections remain`)
    }
    if (store.claim?.claimId !== claimIdOf(c.id))
      throw new Violation('I5', 'the remaining connection does not own the device')
    const settled = new Set([...ghost.handled, ...ghost.excepted])
    store.mids.forEach((mid, i) => {
      if (!settled.has(mid)) throw new Violation('I2', `m${mid} (seq ${i + 1}) is in the store and was never delivered`)
    })
    for (const mid of ghost.accepted) {
      if (!settled.has(mid) && !ghost.lost.includes(mid)) {
        throw new Violation('I2', `m${mid} was accepted, not lost by the store, and never delivered`)
      }
    }
    if (store.pending !== 0 || store.cursor !== store.head) {
      throw new Violation(
        'I2',
        `all is handled, yet the cursor rests at ${store.cursor} of ${store.head}, pending ${store.pending}`,
      )
    }
    // An overflow may have been lost in a failover.
    const overflowed = store.overflowed.map((seq) => inbox.midAt(store, seq))
    const untold = ghost.dropped.filter(
      (mid) => overflowed.includes(mid) && !ghost.handled.includes(mid) && !ghost.told.includes(mid),
    )
    if (untold.length > 0) throw new Violation('I8', `m${untold[0]} overflowed and the device was never told`)
    if (c.m.holds !== 0) throw new Violation('I2', 'the courier is held for ever')
  }
}

const DEAD = new SimMachine(
  '',
  0,
  {
    counters: new CourierCounters(),
    limits: {
      window: 1,
      windowMax: 1,
      windowBytes: 1,
      pageMessages: 1,
      pageBytes: 1,
      bufferLimit: 1,
      fullBufferMs: 1,
      unackedMs: 1,
      helloMs: 1,
    },
  },
  {
    sendMessage() {},
    handled() {},
    sendWelcome() {},
    sendReset() {},
    sendGap() {},
    bufferedBytes: () => 0,
    wantRead() {},
    wantFlush() {},
    closing() {},
  },
).snapshot()

const place = ({ epoch, seq }: Position): string => `${epoch}/${seq}`

function describe(frame: Frame): string {
  switch (frame.t) {
    case 'data':
      return `data m${frame.mid}`
    case 'frame':
      return `data ${place(frame.position)}, prev ${frame.prev} (m${frame.mid})`
    case 'gap':
      return `gap ${frame.from}-${frame.to} ${frame.reason}`
    case 'bye':
      return `bye ${frame.code}`
    case 'welcome':
    case 'reset':
      return `${frame.t} ${place(frame.position)}`
    default:
      return 'nothing'
  }
}

function describeUp(frame: UpFrame): string {
  if (typeof frame === 'number') return `PUBACK ${frame}`
  return `server takes ${frame.t} ${frame.position === null ? 'from nowhere' : place(frame.position)}`
}
