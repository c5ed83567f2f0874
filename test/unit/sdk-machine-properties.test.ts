import * as fc from 'fast-check'
import t from 'tap'
import { BACKOFF } from '../../sdk/device/connection/backoff.js'
import { initialMachine, transition } from '../../sdk/device/connection/machine.js'
import type {
  Effect,
  EventType,
  Machine,
  MachineEvent,
  MachineSettings,
} from '../../sdk/device/connection/machine-types.js'
import { PostriderError } from '../../sdk/device/errors.js'

/** One decision of the world: which of the events that can happen now does, and its details. */
interface Choice {
  readonly pick: number
  readonly code: number
  readonly random: number
  readonly later: number
}

const choice: fc.Arbitrary<Choice> = fc.record({
  pick: fc.nat(1_000),
  code: fc.nat(7),
  random: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
  later: fc.oneof(fc.nat(2_000), fc.nat(100_000)),
})

const BYES = ['resync', 'draining', 'overload', 'token_expired', 'taken_over', 'revoked', 'protocol_error', 'other']

/** The world that a machine acts on: what it opened, asked for and set, and what can happen because of it. */
class World {
  machine: Machine
  now = 0
  channel: 'none' | 'opening' | 'open' | 'greeted' | 'welcomed' = 'none'
  fetching = false
  waiting: number | null = null
  deadline: number | null = null
  closing = false
  ended = 0
  /** For the properties. */
  readonly delays: number[] = []
  readonly settings: MachineSettings

  constructor(settings: MachineSettings) {
    this.settings = settings
    this.machine = initialMachine(settings)
  }

  /** Every event that can happen now. */
  possible(): readonly EventType[] {
    if (this.ended > 0) return []
    const events: EventType[] = ['network']
    if (this.machine.phase === 'idle') events.push('start')
    if (this.fetching) events.push('token-ready', 'token-failed')
    if (this.channel === 'opening') events.push('opened', 'lost')
    if (this.channel === 'greeted') events.push('refused', 'welcome', 'lost', 'bye', 'broken')
    if (this.channel === 'welcomed') events.push('progress', 'caught-up', 'lost', 'bye', 'broken', 'token-due')
    if (this.waiting !== null) events.push('wait-over')
    if (this.deadline !== null) events.push('deadline')
    if (this.closing) events.push('hung-up')
    return events
  }

  happen(type: EventType, { code, random, later }: Choice): void {
    this.now += later
    const event = this.#event(type, code)
    if (type === 'opened') this.channel = 'open'
    if (type === 'welcome') this.channel = 'welcomed'
    if (type === 'token-ready' || type === 'token-failed') this.fetching = false
    if (type === 'wait-over') this.waiting = null
    if (type === 'deadline') this.deadline = null
    if (type === 'hung-up') this.channel = 'none'
    const step = transition(this.machine, event, { now: this.now, random: () => random, settings: this.settings })
    this.machine = step.machine
    for (const effect of step.effects) this.#do(effect)
  }

  #event(type: EventType, code: number): MachineEvent {
    if (type === 'token-failed')
      return { type, error: new PostriderError(code === 0 ? 'unauthorized' : 'token_failed') }
    if (type === 'refused') return { type, code: Math.max(1, code) }
    if (type === 'lost') return { type, error: new PostriderError('connection_lost') }
    if (type === 'broken') return { type, error: new PostriderError('sequence_broken') }
    if (type === 'fail') return { type, error: new PostriderError('storage_failed') }
    if (type === 'network') return { type, back: code % 2 === 0 }
    if (type !== 'bye') return { type }
    return { type, code: BYES[code] ?? 'other', reconnect: code >= 4 ? 'never' : 'after', minMs: 0, maxMs: 500 }
  }

  #do(effect: Effect): void {
    switch (effect.do) {
      case 'fetch-token':
        if (this.fetching) throw new Error('a second token is fetched beside the first')
        if (!this.settings.renewable) throw new Error('a token is fetched from nowhere')
        this.fetching = true
        return
      case 'open':
        if (this.channel !== 'none') throw new Error('a second channel is opened beside the first')
        if (effect.url < 0 || effect.url >= this.settings.urls) throw new Error(`no URL ${effect.url}`)
        this.channel = 'opening'
        return
      case 'greet':
        if (this.channel !== 'open') throw new Error('greets nobody')
        this.channel = 'greeted'
        return
      case 'drop':
      case 'hang-up':
        this.channel = 'none'
        return
      case 'wait':
        if (!(effect.ms >= 0 && effect.ms <= 60_000)) throw new Error(`waits for ${effect.ms} ms`)
        this.delays.push(effect.ms)
        this.waiting = effect.ms
        return
      case 'deadline':
        this.deadline = effect.ms
        return
      case 'clear-timers':
        this.waiting = this.deadline = null
        return
      case 'close':
        this.closing = true
        return
      case 'end':
        this.ended++
        return
      case 'ping':
        if (this.channel !== 'welcomed') throw new Error('pings nobody')
        return
      case 'renew-in':
      case 'remember-url':
      case 'report':
        return
    }
  }

  /** Something will happen by itself: nothing is ever waited for that cannot come. */
  check(): void {
    const { phase } = this.machine
    if ((phase === 'closed') !== (this.ended === 1)) throw new Error(`${phase}, ended ${this.ended} times`)
    const holds: Readonly<Record<typeof phase, boolean>> = {
      idle: true,
      authorizing: this.fetching && this.channel === 'none',
      opening: this.channel === 'opening' && this.deadline !== null,
      greeting: this.channel === 'greeted' && this.deadline !== null,
      'catching-up': this.channel === 'welcomed' && this.deadline === null,
      live: this.channel === 'welcomed' && this.deadline === null,
      waiting: this.waiting !== null && this.channel === 'none' && this.deadline === null,
      closing: this.deadline !== null && this.waiting === null,
      closed: this.channel === 'none' && this.waiting === null && this.deadline === null,
    }
    if (!holds[phase]) throw new Error(`stuck in ${phase}: ${JSON.stringify(this)}`)
    const over = phase === 'closing' || phase === 'closed'
    if (this.machine.renewing && !this.fetching && !over) throw new Error('renews without asking')
  }
}

const settings = fc.record({
  urls: fc.integer({ min: 1, max: 3 }),
  renewable: fc.boolean(),
  backoff: fc.constant(BACKOFF),
  connectTimeoutMs: fc.constant(15_000),
  closeTimeoutMs: fc.constant(10_000),
})

function run(world: World, choices: readonly Choice[], filter: (type: EventType) => boolean = () => true): void {
  for (const each of choices) {
    const possible = world.possible().filter(filter)
    const type = possible[each.pick % Math.max(1, possible.length)]
    if (type === undefined) return
    world.happen(type, each)
    world.check()
  }
}

void t.test(
  'SDK machine: whatever happens, something is under way until it has ended, and never two of a kind',
  async () => {
    fc.assert(
      fc.property(settings, fc.array(choice, { minLength: 20, maxLength: 200 }), (each, choices) => {
        run(new World(each), choices)
      }),
      { numRuns: 2_000 },
    )
  },
)

void t.test('SDK machine: it can be closed, and can fail, at every moment', async (t) => {
  let closed = 0
  fc.assert(
    fc.property(settings, fc.array(choice, { maxLength: 60 }), fc.boolean(), (each, choices, fails) => {
      const world = new World(each)
      run(world, choices)
      if (world.ended > 0) return
      world.happen(fails ? 'fail' : 'close', { pick: 0, code: 0, random: 0.5, later: 0 })
      world.check()
      if (!fails) {
        run(world, choices)
        if (world.ended === 0) world.happen('deadline', { pick: 0, code: 0, random: 0.5, later: 0 })
      }
      if (world.ended !== 1) throw new Error('it did not end')
      closed++
    }),
    { numRuns: 2_000 },
  )
  t.ok(closed > 200)
})

void t.test('SDK machine: without bad news that is final, it never ends by itself', async () => {
  const final = new Set<EventType>(['refused', 'token-failed', 'bye', 'broken', 'close', 'fail'])
  fc.assert(
    fc.property(settings, fc.array(choice, { minLength: 50, maxLength: 200 }), (each, choices) => {
      const world = new World(each)
      run(world, choices, (type) => !final.has(type))
      if (world.ended > 0) throw new Error('it ended')
    }),
    { numRuns: 500 },
  )
})

void t.test('SDK machine: a server that refuses every token is not asked a third time in a row', async () => {
  fc.assert(
    fc.property(settings, fc.array(choice, { minLength: 5, maxLength: 100 }), (each, choices) => {
      const world = new World(each)
      let refusals = 0
      for (const one of choices) {
        if (world.ended > 0) return
        const type =
          world.channel === 'greeted' ? 'refused' : world.possible().find((t) => t !== 'network' && t !== 'lost')
        if (type === undefined || type === 'token-failed') return
        world.happen(type, { ...one, code: 4 + (one.code % 2) })
        if (type === 'refused' && ++refusals > 2) throw new Error('asked again')
      }
    }),
    { numRuns: 500 },
  )
})
