// Group commit: changes made in one turn of the event loop, or while commits are under way, go to the disk as one LMDB
// transaction, or as one record of a journal file. Up to DEPTH commits are handed over before the first is finished, so that the
// disk need not wait for the event loop; one counts only if all before it are stored.

import { OutcomeUnknown, StoreUnavailable } from '../../errors.js'
import { JournalWriter, PART_SIZE, PART_SIZE_SHORT } from './journal-codec.js'

/** Resolves when everything of the group is stored; rejects with StoreUnavailable or OutcomeUnknown. */
export interface Group {
  readonly number: number
  readonly journal: JournalWriter
  /** Puts and removes beside the journal, run inside the transaction, in order. */
  readonly writes: Array<() => void>
  /** Run when it is stored, in order, before its waiters continue. */
  readonly effects: Array<() => void>
  /** It holds new messages, so it needs new space. */
  grows: boolean
  readonly done: Promise<void>
}

interface OpenGroup extends Group {
  place: Place
  /** Resolves when its commit has ended in any way. */
  readonly settled: Promise<void>
  readonly settle: () => void
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Where a group is stored: in LMDB, its journal alone in the file with this number, or nowhere, because it changes nothing. */
export type Place = 'table' | 'nowhere' | number

export interface GroupCommitHooks {
  /** Is there room for new messages? */
  mayGrow(): boolean
  /** So little that what can wait should take none? */
  tight(): boolean
  /** Where the group, as it is now, would be stored. */
  place(group: Group): Place
  /**
   * Stores the group at its place. `table`: runs all writes of it in one transaction, on condition that the group numbered
   * `after` was stored (null: none is under way). A file: writes its record, whether or not those before it are stored.
   * Resolves when it is durable, false when the condition did not hold.
   */
  commit(group: Group, place: Place, after: number | null): Promise<boolean>
  /**
   * Group `first` did not commit, nor did any after it: memory must be made anew from the disk, which is at rest. Answers up
   * to which group the disk holds them all the same.
   */
  failed(first: Group, error: unknown): number
  /** Memory and disk may differ: nothing is served any more, and the process should end. */
  fatal(error: unknown): void
}

/** Refuses for a while after a failure, longer each time. */
class Backoff {
  #delay = 0
  #until = 0

  failed(now: number): void {
    this.#delay = Math.min(RETRY_MAX, Math.max(RETRY_MIN, this.#delay * 2))
    this.#until = now + this.#delay
  }

  succeeded(): void {
    this.#delay = 0
  }

  /** Failed last time. */
  get troubled(): boolean {
    return this.#delay > 0
  }

  resting(now: number): boolean {
    return this.#delay > 0 && now < this.#until
  }
}

/** After a failure the store is left alone for so long, doubling up to the maximum. Milliseconds. */
const RETRY_MIN = 100
const RETRY_MAX = 2_000
/** Commits handed over at a time. */
const DEPTH = 3

export class GroupCommit {
  readonly #hooks: GroupCommitHooks
  readonly #monotonic: () => number
  #next: number
  #open: OpenGroup | null = null
  #underWay: OpenGroup[] = []
  #committed: number
  #scheduled = false
  #closed = false
  /** A commit has failed, and the others are on their way to. */
  #failing = false
  #halted = false
  /**
   * Of groups with new messages, and of groups without: on a full disk acks and deletions still find room, and make some.
   */
  readonly #growth = new Backoff()
  readonly #upkeep = new Backoff()

  /** `first`: the number of the first group; numbers are never used twice, also not after a failure. */
  constructor(first: number, monotonic: () => number, hooks: GroupCommitHooks) {
    this.#next = first
    this.#committed = first - 1
    this.#monotonic = monotonic
    this.#hooks = hooks
  }

  /** Every group up to this number is stored. */
  get committed(): number {
    return this.#committed
  }

  /** Memory cannot be trusted any more; only a new start helps. */
  get halted(): boolean {
    return this.#halted
  }

  /** The number of the group that the next change will be in. */
  get next(): number {
    return this.#open === null ? this.#next : this.#open.number
  }

  get idle(): boolean {
    return this.#open === null && this.#underWay.length === 0
  }

  /** True while a failure is recent and nothing is tried. */
  get resting(): boolean {
    return this.#failing || this.#upkeep.resting(this.#monotonic())
  }

  /**
   * How much room there is for what can wait: `short` after new messages did not find any, `none` after even a group without
   * new messages failed.
   */
  get room(): 'plenty' | 'short' | 'none' {
    if (this.#upkeep.troubled) return 'none'
    return this.#growth.troubled || this.#hooks.tight() ? 'short' : 'plenty'
  }

  /**
   * The group that fills now; it will be committed without further ado. `grows`: for new messages. Throws StoreUnavailable.
   */
  enter(grows = false): Group {
    if (this.#halted) throw new StoreUnavailable('the store has stopped after an internal error')
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    const now = this.#monotonic()
    if (this.#failing || this.#upkeep.resting(now) || (grows && this.#growth.resting(now))) {
      throw new StoreUnavailable('the store could not write; it is tried again shortly')
    }
    if (grows && !this.#hooks.mayGrow()) {
      throw new StoreUnavailable(
        'the disk is almost full: new messages are refused until messages are handled or room is made',
      )
    }
    this.#open ??= createGroup(this.#next++, this.room === 'plenty' ? PART_SIZE : PART_SIZE_SHORT)
    if (grows) this.#open.grows = true
    this.#schedule()
    return this.#open
  }

  /** Resolves when everything up to group `number` is stored; null: it is. */
  stored(number: number): Promise<void> | null {
    if (number <= this.#committed) return null
    for (const group of this.#underWay) if (number <= group.number) return group.done
    return this.#open === null ? null : this.#open.done
  }

  /** Refuses new groups and waits for those that are there. */
  async close(): Promise<void> {
    this.#closed = true
    while (!this.idle) {
      const last = this.#open ?? this.#underWay.at(-1)
      if (last === undefined) return
      await last.done.catch(() => undefined)
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay.length >= DEPTH) return
    this.#scheduled = true
    // After the poll phase: all requests that have arrived in this turn are in the group.
    setImmediate(() => {
      this.#scheduled = false
      this.#start()
    })
  }

  #start(): void {
    const group = this.#open
    if (group === null || this.#failing || this.#underWay.length >= DEPTH) return
    group.place = this.#hooks.place(group)
    const before = this.#underWay.at(-1)
    // Table and files have no common order on the disk, nor have two files: one is at rest before the other is written.
    if (before !== undefined && before.place !== group.place) return
    this.#open = null
    this.#underWay.push(group)
    void this.#carryOut(group, before)
  }

  async #carryOut(group: OpenGroup, before: OpenGroup | undefined): Promise<void> {
    let commit: Promise<boolean>
    try {
      commit = this.#hooks.commit(group, group.place, before === undefined ? null : before.number)
    } catch (error) {
      // Half of the group may be on its way to the disk.
      this.#halt(error)
      return
    }
    let outcome: unknown = true
    try {
      // Awaited together, so that a failure is never unobserved.
      const [stored] = await Promise.all([commit, before?.settled])
      if (!stored) outcome = new Error('the commit before this one failed')
    } catch (error) {
      outcome = error
      if (before !== undefined) await before.settled
    }
    if (this.#halted) return
    if (outcome === true && !this.#failing) this.#succeeded(group)
    else if (!this.#failing) await this.#fail(group, outcome)
    group.settle()
  }

  #halt(error: unknown): void {
    this.#halted = true
    const cut = new OutcomeUnknown('the store has stopped after an internal error', { cause: error })
    for (const group of [...this.#underWay, this.#open]) {
      group?.reject(cut)
      group?.settle()
    }
    this.#underWay = []
    this.#open = null
    this.#hooks.fatal(error)
  }

  #succeeded(group: OpenGroup): void {
    this.#underWay.shift()
    this.#committed = group.number
    this.#upkeep.succeeded()
    if (group.grows) this.#growth.succeeded()
    for (const effect of group.effects) effect()
    group.resolve()
    this.#start()
  }

  /** The first that fails takes all after it along. */
  async #fail(group: OpenGroup, error: unknown): Promise<void> {
    this.#failing = true
    this.#growth.failed(this.#monotonic())
    if (!group.grows) this.#upkeep.failed(this.#monotonic())
    group.settle()
    const [, ...followers] = this.#underWay
    for (const follower of followers) await follower.settled
    const filling = this.#open
    this.#open = null
    this.#underWay = []
    let onDisk: number
    try {
      onDisk = this.#hooks.failed(group, error)
    } catch (again) {
      this.#underWay = [group, ...followers]
      this.#open = filling
      this.#halt(again)
      return
    }
    // Memory was made anew from the disk: whatever it holds now is what every later read sees.
    this.#committed = this.#next - 1
    this.#failing = false
    const cause = error
    for (const lost of filling === null ? [group, ...followers] : [group, ...followers, filling]) {
      lost.reject(
        lost.number <= onDisk
          ? new OutcomeUnknown('the store did not say whether it stored the change', { cause })
          : new StoreUnavailable('the store could not write', { cause }),
      )
    }
  }
}

function createGroup(number: number, partSize: number): OpenGroup {
  let resolve: () => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  let settle: () => void = () => undefined
  const done = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  const settled = new Promise<void>((yes) => {
    settle = yes
  })
  // Whoever waits sees the error; a group that nobody waits for must not end the process.
  done.catch(() => undefined)
  const journal = new JournalWriter(partSize)
  return {
    number,
    journal,
    writes: [],
    effects: [],
    grows: false,
    place: 'table',
    done,
    settled,
    resolve,
    reject,
    settle,
  }
}
