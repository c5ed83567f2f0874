// Group commit: changes made in one turn of the event loop, or while a commit is under way, go to the disk as one LMDB
// transaction. One commit at a time; the next group fills meanwhile.

import { OutcomeUnknown, StoreUnavailable } from '../../errors.js'
import { JournalWriter, PART_SIZE, PART_SIZE_SHORT } from './journal-codec.js'

/** Resolves when everything of the group is stored; rejects with StoreUnavailable or OutcomeUnknown. */
export interface Group {
  readonly number: number
  readonly journal: JournalWriter
  /** Puts and removes beside the journal, run inside the transaction, in order. */
  readonly writes: Array<() => void>
  /** It holds new messages, so it needs new space. */
  grows: boolean
  readonly done: Promise<void>
}

interface OpenGroup extends Group {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface GroupCommitHooks {
  /** Is there room for new messages? */
  mayGrow(): boolean
  /** So little that what can wait should take none? */
  tight(): boolean
  /** Runs all writes of the group in one transaction; resolves when it is durable. */
  commit(group: Group): Promise<void>
  /** The group is stored. Called before its waiters continue. */
  committed(group: Group): void
  /**
   * The group, and the one that was being filled, did not commit: memory must be made anew from the disk. Answers whether
   * the disk holds the group all the same.
   */
  failed(group: Group, error: unknown): boolean
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

export class GroupCommit {
  readonly #hooks: GroupCommitHooks
  readonly #monotonic: () => number
  #next: number
  #open: OpenGroup | null = null
  #underWay: OpenGroup | null = null
  #committed: number
  #scheduled = false
  #closed = false
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

  /** The number of the group that the next change will be in. */
  get next(): number {
    return this.#open === null ? this.#next : this.#open.number
  }

  get idle(): boolean {
    return this.#open === null && this.#underWay === null
  }

  /** True while a failure is recent and nothing is tried. */
  get resting(): boolean {
    return this.#upkeep.resting(this.#monotonic())
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
    if (this.#closed) throw new StoreUnavailable('the store is closed')
    const now = this.#monotonic()
    if (this.#upkeep.resting(now) || (grows && this.#growth.resting(now))) {
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

  /** Resolves when everything up to group `number` is stored. */
  stored(number: number): Promise<void> | null {
    if (number <= this.#committed) return null
    if (this.#underWay !== null && number <= this.#underWay.number) return this.#underWay.done
    return this.#open === null ? null : this.#open.done
  }

  /** Refuses new groups and waits for those that are there. */
  async close(): Promise<void> {
    this.#closed = true
    while (!this.idle) {
      const last = this.#open ?? this.#underWay
      if (last === null) return
      await last.done.catch(() => undefined)
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay !== null) return
    this.#scheduled = true
    // After the poll phase: all requests that have arrived in this turn are in the group.
    setImmediate(() => {
      this.#scheduled = false
      this.#start()
    })
  }

  #start(): void {
    const group = this.#open
    if (group === null || this.#underWay !== null) return
    this.#open = null
    this.#underWay = group
    let commit: Promise<void>
    try {
      commit = this.#hooks.commit(group)
    } catch (error) {
      commit = Promise.reject(error instanceof Error ? error : new Error(String(error)))
    }
    commit.then(
      () => {
        this.#underWay = null
        this.#committed = group.number
        this.#upkeep.succeeded()
        if (group.grows) this.#growth.succeeded()
        this.#hooks.committed(group)
        group.resolve()
        this.#start()
      },
      (error: unknown) => {
        this.#fail(group, error)
      },
    )
  }

  #fail(group: OpenGroup, error: unknown): void {
    const filling = this.#open
    this.#open = null
    this.#growth.failed(this.#monotonic())
    if (!group.grows) this.#upkeep.failed(this.#monotonic())
    let onDisk = true
    try {
      onDisk = this.#hooks.failed(group, error)
    } catch (again) {
      error = again
    }
    this.#underWay = null
    // Memory was made anew from the disk: whatever it holds now is what every later read sees.
    this.#committed = this.#next - 1
    group.reject(
      onDisk
        ? new OutcomeUnknown('the store did not say whether it stored the change', { cause: error })
        : new StoreUnavailable('the store could not write', { cause: error }),
    )
    filling?.reject(new StoreUnavailable('the store could not write', { cause: error }))
  }
}

function createGroup(number: number, partSize: number): OpenGroup {
  let resolve: () => void = () => undefined
  let reject: (error: Error) => void = () => undefined
  const done = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Whoever waits sees the error; a group that nobody waits for must not end the process.
  done.catch(() => undefined)
  return { number, journal: new JournalWriter(partSize), writes: [], grows: false, done, resolve, reject }
}
