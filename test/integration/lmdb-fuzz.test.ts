// Random calls on the embedded store, many at a time, while commits fail and the process crashes: what was answered stays true.
// CI_SEED=<seed> repeats one walk; CI_LONG=1 takes 200.

import t, { type Test } from 'tap'
import { messageSize, type Position } from '../../core/model/message.js'
import { FakeClock } from '../support/fake-clock.js'
import { type LmdbRig, newMessage, openLmdbRig, turn } from '../support/lmdb-rig.js'
import { seeded } from '../support/simulation/walk.js'

const long = process.env['CI_LONG'] === '1'
const given = process.env['CI_SEED']
const STEPS = 60
const DEVICES = ['a', 'b'] as const
const DEDUP_SECONDS = 20
const LIMITS = {
  inboxMax: 8,
  inboxMaxBytes: 900,
  overflow: 'drop-oldest',
  retentionSeconds: 60,
  dedupWindowSeconds: DEDUP_SECONDS,
} as const

/** A message as it was pushed and accepted. */
interface Accepted extends Position {
  readonly device: string
  readonly dedupId: string
  readonly at: number
  readonly ttl: number | null
}

const placeOf = (device: string, { epoch, seq }: Position): string => `${device}/${epoch}/${seq}`

/** What the store has answered, and what must therefore be so. */
class Answers {
  readonly accepted = new Map<string, Accepted>()
  readonly byId = new Map<string, Accepted>()
  readonly #cursors = new Map<string, number>()
  readonly #cancelled = new Map<string, Accepted>()
  readonly violations: string[] = []

  appended(message: Accepted, duplicate: boolean): void {
    const { device, dedupId, at } = message
    const place = placeOf(device, message)
    const first = this.byId.get(dedupId)
    if (duplicate) {
      if (first !== undefined && placeOf(device, first) !== place) this.#violated(`${dedupId}: another first answer`)
      return
    }
    if (first !== undefined && at - first.at < DEDUP_SECONDS * 1000) this.#violated(`${dedupId}: accepted twice`)
    if (this.accepted.has(place)) this.#violated(`${place}: given twice`)
    this.accepted.set(place, message)
    this.byId.set(dedupId, message)
  }

  conflict(dedupId: string): void {
    this.#violated(`${dedupId}: another body`)
  }

  cancelled(message: Accepted): void {
    this.#cancelled.set(placeOf(message.device, message), message)
  }

  /** An ack may take a cancellation back. */
  acked(device: string, { epoch, seq }: Position): void {
    for (const [place, message] of this.#cancelled) {
      if (message.device === device && message.epoch === epoch && message.seq <= seq) this.#cancelled.delete(place)
    }
  }

  /** Its dedup ids are forgotten. */
  purged(device: string): void {
    for (const [dedupId, message] of this.byId) if (message.device === device) this.byId.delete(dedupId)
  }

  latest(device: string): readonly Accepted[] {
    return [...this.accepted.values()].filter((message) => message.device === device).slice(-6)
  }

  /** Compares with what the store says now. */
  async check({ mailbox, clock }: LmdbRig): Promise<void> {
    clock.advance(300) // what has expired is known within a second
    for (const device of DEVICES) {
      const peeked = await mailbox.peek(device, { after: 0, limit: 1_000, maxBytes: 1e9 })
      const info = await mailbox.info(device)
      if (peeked === null || info === null) continue
      const weight = peeked.messages.reduce((sum, { message }) => sum + messageSize(message), 0)
      if (peeked.messages.length !== info.pending) this.#violated(`${device}: pending ${info.pending}`)
      if (weight !== info.pendingBytes) this.#violated(`${device}: pendingBytes ${info.pendingBytes}, not ${weight}`)
      const pending = new Set<string>()
      for (const { epoch, message } of peeked.messages) {
        const place = placeOf(device, { epoch, seq: message.seq })
        pending.add(place)
        const known = this.accepted.get(place)
        if (known !== undefined && known.dedupId !== message.dedupId) this.#violated(`${place}: another message`)
      }
      const cursors = `${device}/${info.epoch}`
      if ((this.#cursors.get(cursors) ?? 0) > info.cursor) this.#violated(`${cursors}: the cursor went back`)
      this.#cursors.set(cursors, info.cursor)
      for (const [place, message] of this.accepted) {
        if (message.device !== device || message.epoch !== info.epoch) continue
        if (message.seq > info.head) this.#violated(`${place}: lost`)
        const state = await mailbox.state(device, message.seq, message.epoch)
        const name = state.kind === 'known' ? state.state : state.kind
        if (pending.has(place) !== (name === 'queued' || name === 'sent')) this.#violated(`${place}: ${name}`)
        if (message.seq > info.cursor && (name === 'handled' || name === 'gone')) this.#violated(`${place}: ${name}`)
        if (this.#cancelled.has(place) && name !== 'cancelled' && name !== 'gone') {
          this.#violated(`${place}: cancelled, now ${name}`)
        }
      }
    }
  }

  #violated(what: string): void {
    this.violations.push(what)
  }
}

interface Tally {
  accepted: number
  failures: number
  crashes: number
  /** Commits that went into journal files. */
  filed: number
}

/** One walk; answers what was wrong. */
async function walk(t: Test, seed: number, files: boolean, tally: Tally): Promise<readonly string[]> {
  const random = seeded(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T | undefined => list[below(list.length)]
  const clock = new FakeClock()
  const answers = new Answers()
  let rig = openLmdbRig(t, { clock, limits: LIMITS, files })
  let names = 0
  let calls: Array<Promise<unknown>> = []
  // A call that fails promises nothing.
  const call = <T>(
    promise: Promise<T>,
    then: (value: T) => void = () => undefined,
    failed = (): void => undefined,
  ): void => {
    calls.push(promise.then(then, failed))
  }

  const append = (device: string): void => {
    const earlier = below(4) === 0 ? pick([...answers.byId.values()]) : undefined
    const dedupId = earlier?.dedupId ?? `${device}:${names++}`
    const to = earlier?.device ?? device
    const ttl = earlier !== undefined ? earlier.ttl : below(3) === 0 ? 1 + below(4) : null
    // The same id has the same body, of any size.
    const payload = Buffer.from(dedupId.padEnd(20 + ((Number(dedupId.slice(2)) * 7) % 200)))
    call(rig.mailbox.append([newMessage(to, dedupId, { payload, ttl })]), ([result]) => {
      if (result === undefined) return
      if (!result.ok) {
        if (result.code === 'dedup_conflict') answers.conflict(dedupId)
        return
      }
      const { seq, epoch, at, duplicate } = result
      if (!duplicate) tally.accepted++
      answers.appended({ device: to, dedupId, seq, epoch, at, ttl }, duplicate)
    })
  }
  const ack = (device: string): void => {
    const position = pick(answers.latest(device))
    if (position === undefined) return
    const done = (): void => answers.acked(device, position)
    done()
    call(rig.mailbox.ack([{ device, position }]), done, done)
  }
  const cancel = (device: string): void => {
    const message = pick(answers.latest(device))
    if (message === undefined) return
    call(rig.mailbox.cancel(device, message.seq, message.epoch), ({ kind }) => {
      if (kind === 'cancelled') answers.cancelled(message)
    })
  }
  const connect = (device: string): void => {
    const claimId = `claim ${names++}`
    call(rig.mailbox.claim(device, { node: 'n', claimId }, { force: true }), (granted) => {
      if (!granted.ok) return
      const { position } = granted
      call(rig.mailbox.read({ device, claimId, position, maxMessages: 1 + below(8), maxBytes: 1e6 }))
    })
  }
  const purge = (device: string): void => {
    // An append after it may be answered before it.
    const done = (): void => answers.purged(device)
    done()
    call(rig.mailbox.purge(device), done, done)
  }
  /** One of the next commits fails. */
  const fail = (): void => {
    let spared = below(3)
    rig.commits.fail = () => {
      if (spared-- > 0) return false
      rig.commits.fail = () => false
      tally.failures++
      return true
    }
  }
  const choices: ReadonlyArray<readonly [weight: number, run: (device: string) => void]> = [
    [48, append],
    [12, ack],
    [12, cancel],
    [4, connect],
    [1, purge],
    [3, fail],
  ]
  const act = (): void => {
    let at = below(choices.reduce((sum, [weight]) => sum + weight, 0))
    for (const [weight, run] of choices) {
      if (at < weight) return run(pick(DEVICES) ?? 'a')
      at -= weight
    }
  }
  const settle = async (): Promise<void> => {
    while (calls.length > 0) {
      const waiting = calls
      calls = []
      await Promise.all(waiting)
    }
  }
  const replace = async (next: LmdbRig): Promise<void> => {
    const old = rig
    tally.filed += old.commits.filed
    rig = next
    await old.drop()
  }

  for (let step = 0; step < STEPS && answers.violations.length === 0; step++) {
    for (let n = 1 + below(5); n > 0; n--) {
      act()
      if (below(3) === 0) await turn()
    }
    await settle()
    rig.commits.fail = () => false
    clock.advance(pick([0, 10, 300, 2_500, 5_000]) ?? 0)
    if (below(3) === 0) {
      rig.engine.tick()
      call(rig.mailbox.ping())
      await settle()
    }
    if (below(12) === 0) {
      tally.crashes++
      await replace(rig.crash())
    }
    // While the store rests after a failure, it may refuse to answer.
    if (!rig.engine.groups.resting) await answers.check(rig)
    else if (below(2) === 0) clock.advance(2_500)
  }
  clock.advance(2_500)
  await replace(await rig.restart())
  await answers.check(rig)
  await rig.drop()
  return answers.violations
}

if (long) {
  t.setTimeout(600_000)
  t.comment('timeout=600000') // the runner's own limit for this file
}

for (const files of [false, true]) {
  const name = `answers stay true through failing commits and crashes, ${files ? 'with' : 'without'} journal files`
  void t.test(`lmdb fuzz: ${name}`, { timeout: 600_000 }, async (t) => {
    const first = given === undefined ? 1 : Number(given)
    const walks = given !== undefined ? 1 : long ? 200 : 12
    const tally: Tally = { accepted: 0, failures: 0, crashes: 0, filed: 0 }
    for (let seed = first; seed < first + walks; seed++) {
      const violations = await walk(t, seed, files, tally).catch((error: unknown) => {
        throw new Error(`CI_SEED=${seed} repeats it`, { cause: error })
      })
      t.same(violations, [], `seed ${seed}; CI_SEED=${seed} repeats it`)
      if (violations.length > 0) return
    }
    t.comment(tally)
    if (given !== undefined) return
    t.ok(tally.accepted > 0 && tally.failures > 0 && tally.crashes > 0, 'all of it happened')
    t.equal(tally.filed > 0, files)
  })
}
