import t from 'tap'
import { BACKOFF } from '../../sdk/device/connection/backoff.js'
import { initialMachine, transition } from '../../sdk/device/connection/machine.js'
import type { Effect, Env, Machine, MachineEvent, MachineSettings } from '../../sdk/device/connection/machine-types.js'
import { PostriderError, type SdkErrorCode } from '../../sdk/device/errors.js'

const SETTINGS: MachineSettings = {
  urls: 1,
  renewable: true,
  backoff: BACKOFF,
  connectTimeoutMs: 15_000,
  closeTimeoutMs: 10_000,
}

/** A machine that events are thrown at, with the effects of the last one. */
class Driver {
  machine: Machine
  effects: readonly Effect[] = []
  now = 0
  random = 0.5
  readonly settings: MachineSettings

  constructor(settings: Partial<MachineSettings> = {}, url = 0) {
    this.settings = { ...SETTINGS, ...settings }
    this.machine = initialMachine(this.settings, url)
  }

  on(event: MachineEvent): this {
    const env: Env = { now: this.now, random: () => this.random, settings: this.settings }
    const step = transition(this.machine, event, env)
    this.machine = step.machine
    this.effects = step.effects
    return this
  }

  each(
    ...types: ReadonlyArray<'start' | 'token-ready' | 'opened' | 'welcome' | 'caught-up' | 'progress' | 'wait-over'>
  ): this {
    for (const type of types) this.on({ type })
    return this
  }

  lost(): this {
    return this.on({ type: 'lost', error: new PostriderError('connection_lost') })
  }

  live(): this {
    return this.each('start', 'token-ready', 'opened', 'welcome', 'caught-up')
  }

  again(): this {
    return this.each('wait-over', 'opened', 'welcome')
  }

  /** What it does, without the data. */
  get does(): readonly string[] {
    return this.effects.map((effect) => effect.do)
  }

  get waitMs(): number | undefined {
    return this.effects.find((effect) => effect.do === 'wait')?.ms
  }

  get url(): number | undefined {
    return this.effects.find((effect) => effect.do === 'open')?.url
  }

  /** The code that it ended with; undefined: it has not ended. */
  get ended(): SdkErrorCode | null | undefined {
    const end = this.effects.find((effect) => effect.do === 'end')
    return end === undefined ? undefined : (end.error?.code ?? null)
  }

  get phase(): string {
    return this.machine.phase
  }
}

const bye = (code: string, reconnect: 'never' | 'after' = 'after', minMs = 0, maxMs = 500): MachineEvent => ({
  type: 'bye',
  code,
  reconnect,
  minMs,
  maxMs,
})

void t.test('SDK machine: it fetches a token, opens, greets, and is live when it has caught up', async (t) => {
  const d = new Driver()
  t.same(d.each('start').does, ['fetch-token'])
  t.same(d.each('token-ready').does, ['deadline', 'open'])
  t.same(d.each('opened').does, ['greet'])
  t.same(d.each('welcome').does, ['clear-timers', 'remember-url'])
  t.equal(d.phase, 'catching-up')
  t.equal(d.each('caught-up').phase, 'live')
})

void t.test('SDK machine: the first delay is uniform in 0 to 3 s, and doubles up to 20 s', async (t) => {
  const d = new Driver().live().lost()
  t.equal(d.waitMs, 1_500)
  const delays = []
  for (let i = 0; i < 6; i++) {
    d.random = i % 2 === 0 ? 0.999_999 : 0
    delays.push(Math.round(d.each('wait-over').lost().waitMs ?? -1))
  }
  t.same(delays, [6_000, 0, 20_000, 0, 20_000, 0])
})

void t.test('SDK machine: delays begin anew after progress or 60 s, and not before', async (t) => {
  const fails = (d: Driver): Driver => d.live().lost().each('wait-over').lost().each('wait-over').lost()
  const d = fails(new Driver())
  d.again().lost()
  t.equal(d.machine.failures, 4, 'welcomed only')
  d.again()
  d.now += 59_999
  t.equal(d.lost().machine.failures, 5, 'just under 60 s')
  d.again()
  d.now += 60_000
  t.equal(d.lost().machine.failures, 1, '60 s')
  const e = fails(new Driver()).again().each('progress').lost()
  t.equal(e.machine.failures, 1, 'progress')
  t.equal(e.waitMs, 1_500)
})

void t.test(
  'SDK machine: several URLs are tried at once, then after a delay, beginning with what worked',
  async (t) => {
    const d = new Driver({ urls: 3 }, 1).each('start', 'token-ready')
    t.equal(d.url, 1)
    t.equal(d.lost().url, 2)
    t.equal(d.lost().url, 0)
    t.same(d.lost().does, ['drop', 'report', 'clear-timers', 'wait'])
    t.equal(d.each('wait-over').url, 1)
    d.lost().each('opened', 'welcome')
    t.same(d.effects.at(-1), { do: 'remember-url', url: 2 })
    d.lost()
    t.ok(d.waitMs !== undefined, 'a connection that stood is not followed by another URL at once')
    t.equal(d.each('wait-over').url, 2)
  },
)

void t.test('SDK machine: a bye is obeyed', async (t) => {
  for (const [code, min, max] of [
    ['resync', 0, 500],
    ['draining', 0, 500],
    ['overload', 1_000, 20_000],
    ['a code of a later version', 100, 200],
  ] as const) {
    const d = new Driver().live().on(bye(code, 'after', min, max))
    t.equal(d.phase, 'waiting', code)
    t.equal(d.waitMs, (min + max) / 2, code)
    t.equal(d.on({ type: 'network', back: true }).phase, 'waiting', `${code}: the network shortens nothing`)
  }
  for (const [code, error] of [
    ['taken_over', 'taken_over'],
    ['revoked', 'revoked'],
    ['protocol_error', 'protocol_error'],
    ['a code of a later version', 'closed_by_server'],
  ] as const) {
    t.equal(new Driver().live().on(bye(code, 'never')).ended, error, code)
  }
})

void t.test('SDK machine: after `draining` the next URL is tried, and after another bye the same one', async (t) => {
  const next = (code: string, url: number): number | undefined =>
    new Driver({ urls: 3 }, url).live().on(bye(code)).each('wait-over').url
  t.same([next('draining', 0), next('draining', 2), next('resync', 1), next('overload', 2)], [1, 0, 1, 2])
})

void t.test('SDK machine: byes without progress are no fast loop', async (t) => {
  const d = new Driver().live()
  const delays = []
  for (let i = 0; i < 8; i++) {
    delays.push(d.on(bye('resync')).waitMs)
    d.again()
  }
  t.same(delays, [250, 250, 250, 1_750, 3_250, 6_250, 10_250, 10_250])
})

void t.test('SDK machine: a change of the network ends a delay of its own', async (t) => {
  const d = new Driver().live().lost()
  t.equal(d.on({ type: 'network', back: false }).phase, 'waiting')
  t.same(d.on({ type: 'network', back: true }).does, ['clear-timers', 'deadline', 'open'])
  t.same(new Driver().live().on({ type: 'network', back: false }).does, ['ping'])
})

void t.test('SDK machine: an expired token is renewed, once if it is refused fresh', async (t) => {
  const d = new Driver().live().on(bye('token_expired', 'after', 0, 0))
  t.same(d.each('wait-over').effects, [{ do: 'fetch-token', reason: 'expiring' }])
  d.each('token-ready', 'opened').on({ type: 'refused', code: 4 })
  t.equal(d.ended, 'unauthorized', 'a fresh one is not asked for again')

  const e = new Driver().live().lost().each('wait-over', 'opened').on({ type: 'refused', code: 4 })
  t.same(e.effects.at(-1), { do: 'fetch-token', reason: 'refused' }, 'one that was held is')
  t.equal(e.each('token-ready', 'opened').on({ type: 'refused', code: 5 }).ended, 'forbidden')

  const fixed = new Driver({ renewable: false }).each('start', 'opened')
  t.equal(fixed.on({ type: 'refused', code: 4 }).ended, 'unauthorized')
  const expired = new Driver({ renewable: false }).each('start', 'opened', 'welcome')
  t.equal(expired.on(bye('token_expired')).ended, 'token_expired')
})

void t.test('SDK machine: what CONNACK says decides', async (t) => {
  const greeting = (): Driver => new Driver().each('start', 'token-ready', 'opened')
  t.equal(greeting().on({ type: 'refused', code: 1 }).ended, 'unsupported_server')
  t.equal(greeting().on({ type: 'refused', code: 2 }).ended, 'invalid_device_id')
  t.equal(greeting().on({ type: 'refused', code: 77 }).ended, 'unsupported_server')
  const d = greeting().on({ type: 'refused', code: 3 })
  t.equal(d.phase, 'waiting')
  t.equal(d.machine.abandoned, 0, 'a refused connection made no claim')
})

void t.test('SDK machine: the token is renewed while the connection stands', async (t) => {
  const d = new Driver().live().on({ type: 'token-due' })
  t.same(d.effects, [{ do: 'fetch-token', reason: 'expiring' }])
  t.equal(d.phase, 'live')
  t.same(d.on({ type: 'token-due' }).effects, [], 'once')
  t.same(d.each('token-ready').does, ['hang-up', 'clear-timers', 'deadline', 'open'])

  const failing = new Driver().live().on({ type: 'token-due' })
  failing.on({ type: 'token-failed', error: new PostriderError('token_failed') })
  t.same(failing.does, ['report', 'renew-in'])
  t.equal(failing.phase, 'live')

  const lost = new Driver().live().on({ type: 'token-due' }).lost().each('wait-over')
  t.equal(lost.phase, 'authorizing')
  t.same(lost.effects, [], 'the request that is under way is waited for')
  t.equal(lost.each('token-ready').phase, 'opening')
})

void t.test('SDK machine: a token that cannot be had is asked for again after a delay, or is the end', async (t) => {
  const d = new Driver().each('start')
  d.on({ type: 'token-failed', error: new PostriderError('token_failed') })
  t.equal(d.phase, 'waiting')
  t.same(d.each('wait-over').does, ['fetch-token'])
  t.equal(d.on({ type: 'token-failed', error: new PostriderError('unauthorized') }).ended, 'unauthorized')
})

void t.test('SDK machine: taken_over is answered once for each connection that was given up unanswered', async (t) => {
  t.equal(new Driver().live().on(bye('taken_over', 'never')).ended, 'taken_over')

  const d = new Driver().each('start', 'token-ready', 'opened').lost().each('wait-over', 'opened')
  d.on({ type: 'deadline' })
  t.equal(d.machine.abandoned, 2)
  d.again()
  for (const left of [1, 0]) {
    t.equal(d.on(bye('taken_over', 'never')).phase, 'waiting')
    t.equal(d.machine.abandoned, left)
    d.again()
  }
  t.equal(d.on(bye('taken_over', 'never')).ended, 'taken_over')

  const opening = new Driver().each('start', 'token-ready').lost()
  t.equal(opening.machine.abandoned, 0, 'nothing was sent')
})

void t.test(
  'SDK machine: connections that were given up are forgotten when a later one stood for a minute',
  async (t) => {
    const device = (): Driver =>
      new Driver().each('start', 'token-ready', 'opened').on({ type: 'deadline' }).again().lost().again()
    const kicked = device()
    kicked.now += 59_999
    t.equal(kicked.on(bye('taken_over', 'never')).phase, 'waiting')
    for (const leave of [
      (d: Driver) => d,
      (d: Driver) => d.lost().again(),
      (d: Driver) => d.on({ type: 'token-due' }).each('token-ready', 'opened', 'welcome'),
    ]) {
      const stood = device()
      t.equal(stood.machine.abandoned, 1)
      stood.now += 60_000
      t.equal(leave(stood).on(bye('taken_over', 'never')).ended, 'taken_over', 'it is another client')
    }
  },
)

void t.test('SDK machine: a broken stream is mended once by a reconnect', async (t) => {
  const broken: MachineEvent = { type: 'broken', error: new PostriderError('sequence_broken') }
  const d = new Driver().live().on(broken)
  t.equal(d.phase, 'waiting')
  t.equal(d.waitMs, 250)
  t.equal(d.again().on(broken).ended, 'stream_broken')

  const later = new Driver().live().on(broken).again()
  later.now += 60_000
  t.equal(later.on(broken).phase, 'waiting', 'one in another minute is another one')
  t.equal(later.again().on(broken).ended, 'stream_broken')

  const mended = new Driver().live().on(broken).again()
  mended.now += 60_000
  t.equal(mended.lost().again().on(broken).phase, 'waiting', 'a minute without one mends it')
})

void t.test('SDK machine: what is no server at one URL does not keep the device from the others', async (t) => {
  const broken: MachineEvent = { type: 'broken', error: new PostriderError('malformed_frame') }
  const stranger = (d: Driver): Driver => d.each('opened').on(broken)
  const failing: MachineEvent = { type: 'lost', error: new PostriderError('connect_failed') }

  const second = stranger(new Driver({ urls: 2, renewable: false }).each('start'))
  t.equal(second.url, 1, 'the next one is tried at once')
  t.equal(second.each('opened', 'welcome').phase, 'catching-up')

  const never = new Driver({ urls: 2, renewable: false }).each('start')
  for (let turn = 0; turn < 10; turn++) {
    t.equal(never.on(failing).url, 1)
    t.equal(stranger(never).phase, 'waiting', 'the server may be down')
    t.equal(never.each('wait-over').url, 0)
  }

  const alone = new Driver({ urls: 2, renewable: false }).each('start')
  t.equal(stranger(stranger(alone)).waitMs, 250)
  t.equal(stranger(stranger(alone.each('wait-over'))).ended, 'stream_broken', 'no URL has a server, twice')
})

void t.test('SDK machine: closing waits for what runs, and has an end', async (t) => {
  const d = new Driver().live().on({ type: 'close' })
  t.same(d.does, ['clear-timers', 'deadline', 'close'])
  t.equal(d.on({ type: 'hung-up' }).ended, null)
  t.equal(new Driver().live().on({ type: 'close' }).on({ type: 'deadline' }).ended, null)
  t.equal(new Driver().live().on({ type: 'close' }).lost().ended, undefined, 'what runs is still waited for')
  t.equal(new Driver().on({ type: 'close' }).phase, 'closing')
  t.same(new Driver().each('start', 'token-ready', 'opened').on({ type: 'close' }).does[0], 'drop')
})

void t.test('SDK machine: a failure that no reconnect can mend is the end in every phase', async (t) => {
  const failed: MachineEvent = { type: 'fail', error: new PostriderError('storage_failed') }
  const paths: ReadonlyArray<Driver> = [
    new Driver(),
    new Driver().each('start'),
    new Driver().each('start', 'token-ready'),
    new Driver().each('start', 'token-ready', 'opened'),
    new Driver().each('start', 'token-ready', 'opened', 'welcome'),
    new Driver().live(),
    new Driver().live().lost(),
    new Driver().live().on({ type: 'close' }),
  ]
  t.equal(new Set(paths.map((d) => d.phase)).size, paths.length)
  for (const d of paths) t.equal(d.on(failed).ended, 'storage_failed', d.phase)
})
