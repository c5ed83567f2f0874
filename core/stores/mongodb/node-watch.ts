// Which processes are dead, from the signs of life that they leave in the store. A sign is a word that changes: each process sees for
// itself how long one has stayed the same, so no clock has to agree with another one.

/** As it stands in the store. */
export interface ProcessSign {
  readonly process: string
  /** The nodes whose claims are its own. */
  readonly nodes: readonly string[]
  /** Another word with each sign of life. */
  readonly sign: string
  /** It has ended by itself. */
  readonly left: boolean
}

/** How much of the lease a process may be silent and still be the one that looks after the others. */
const CARETAKER_PART = 0.3

export class NodeWatch {
  readonly #leaseMs: number
  readonly #seen = new Map<string, { readonly sign: string; readonly since: number }>()
  #lookedAt = -Infinity
  #caretaker: string | null = null
  #dead: readonly ProcessSign[] = []
  #deadNodes: ReadonlySet<string> = new Set()

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  /** What was found in the store at `now`, by a monotonic clock. */
  look(signs: readonly ProcessSign[], now: number): void {
    // Nobody looked for a while (the store was away, or this process frozen): all get a whole lease to come back.
    if (!this.isFresh(now)) this.#seen.clear()
    this.#lookedAt = now
    const there = new Set(signs.map(({ process }) => process))
    for (const process of this.#seen.keys()) if (!there.has(process)) this.#seen.delete(process)
    for (const { process, sign } of signs) {
      if (this.#seen.get(process)?.sign !== sign) this.#seen.set(process, { sign, since: now })
    }
    const silent = ({ process }: ProcessSign): number => now - (this.#seen.get(process)?.since ?? now)
    const isDead = (each: ProcessSign): boolean => each.left || silent(each) >= this.#leaseMs
    const living = signs.filter((each) => !isDead(each))
    this.#dead = signs.filter(isDead)
    const theirs = new Set(living.flatMap(({ nodes }) => nodes))
    this.#deadNodes = new Set(this.#dead.flatMap(({ nodes }) => nodes).filter((node) => !theirs.has(node)))
    this.#caretaker = living
      .filter((each) => silent(each) < this.#leaseMs * CARETAKER_PART)
      .map(({ process }) => process)
      .reduce<string | null>((least, each) => (least === null || each < least ? each : least), null)
  }

  /** False: what was seen last is too old to say anything of others. */
  isFresh(now: number): boolean {
    return now - this.#lookedAt <= this.#leaseMs / 2
  }

  /** The process that looks after what dead ones left. Two may believe it of themselves for a moment; then work is done twice. */
  get caretaker(): string | null {
    return this.#caretaker
  }

  get dead(): readonly ProcessSign[] {
    return this.#dead
  }

  /** Not a node that another, living process has, too. */
  isDeadNode(node: string): boolean {
    return this.#deadNodes.has(node)
  }
}
