// The connection of a device, as a pure state machine: an event and a machine in, the next machine and effects out. No I/O,
// no clock, no randomness of its own. The table at the end has every pair of phase and event; one that is missing does not
// compile.
//
//              start                 token-ready
//    ┌──────┐        ┌─────────────┐               ┌─────────┐ opened ┌──────────┐
//    │ idle ├───┬───▶│ authorizing ├──────────────▶│ opening ├───────▶│ greeting │
//    └──────┘   │    └──────▲──────┘               └──┬──────┘        └─┬──────┬─┘
//               └───────────┼─────────────▲───────────┤  lost, deadline │      │ welcome
//                           │ no token    │ token     │                 │      ▼
//                           │          ┌──┴──────┐    │                 │  ┌─────────────┐
//                           └──────────┤ waiting │◀───┴─────────────────┘  │ catching-up │
//                            wait-over └────▲────┘                         └──────┬──────┘
//                                           │ lost, bye, broken                   │ caught-up
//                                           │                                     ▼
//                                           │                                 ┌──────┐
//                                           └─────────────────────────────────┤ live │
//                                                                             └──────┘
//    close:  any phase ──▶ closing (when connected) ──▶ closed.      A terminal error: any phase ──▶ closed.
//
// What ends a connection decides what comes next: a bye is obeyed; a loss waits, longer each time without progress; a refused
// token is renewed once; what no reconnect can mend is the end.

import { backoffDelay, uniform } from './backoff.js'
import {
  abandon,
  after,
  attemptFailed,
  CLEAR,
  connect,
  connectionLost,
  DROP,
  end,
  forget,
  greetingBroken,
  ignore,
  obey,
  refused,
  report,
  stay,
  streamBroken,
  timeout,
  wait,
} from './machine-steps.js'
import type {
  ClientState,
  Env,
  EventType,
  Machine,
  MachineEvent,
  MachineEvents,
  MachineSettings,
  Phase,
  Step,
} from './machine-types.js'

/** `url`: the one that worked last time. */
export const initialMachine = ({ renewable }: MachineSettings, url = 0): Machine => ({
  phase: 'idle',
  token: renewable ? 'missing' : 'held',
  tokenReason: 'first',
  renewing: false,
  url,
  tried: 0,
  failures: 0,
  welcomedAt: null,
  progressed: false,
  abandoned: 0,
  broken: false,
  strangers: 0,
  ordered: false,
})

/** How each phase looks from outside; `closing` still shows what it was. */
export const VISIBLE: Readonly<Record<Exclude<Phase, 'closing'>, ClientState>> = {
  idle: 'connecting',
  authorizing: 'connecting',
  opening: 'connecting',
  greeting: 'connecting',
  'catching-up': 'catching-up',
  live: 'live',
  waiting: 'waiting',
  closed: 'closed',
}

type Transition<T extends EventType> = (machine: Machine, event: MachineEvents[T], env: Env) => Step

// ----- transitions that several phases share ------------------------------------------------------------------------------

const startAt: Transition<'start'> = (machine, _event, env) => connect(machine, env)

const closeAt: Transition<'close'> = (machine, _event, env) =>
  stay({ ...machine, phase: 'closing' }, CLEAR, { do: 'deadline', ms: env.settings.closeTimeoutMs }, { do: 'close' })
const dropAndClose: Transition<'close'> = (machine, event, env) => after([DROP], closeAt(machine, event, env))

const failAt: Transition<'fail'> = (machine, { error }) => end(machine, error)
const dropAndFail: Transition<'fail'> = (machine, { error }) => after([DROP], end(machine, error))
const hangUpAndFail: Transition<'fail'> = (machine, { error }) => after([{ do: 'hang-up' }], end(machine, error))

const tokenFailed: Transition<'token-failed'> = (machine, { error }, env) => {
  if (error.terminal) return end(machine, error)
  const failures = machine.failures + 1
  return after(
    [report(error)],
    wait({ ...machine, failures }, backoffDelay(env.settings.backoff, failures, env.random), env),
  )
}

/** The connection stands, and so does the old token for a while. */
const renewalFailed: Transition<'token-failed'> = (machine, { error }, env) => {
  if (error.terminal) return after([{ do: 'hang-up' }], end(machine, error))
  const { backoff } = env.settings
  return stay({ ...machine, renewing: false }, report(error), {
    do: 'renew-in',
    ms: uniform(backoff.firstMs, backoff.maxMs, env.random),
  })
}

const renew: Transition<'token-due'> = (machine, _event, { settings }) =>
  machine.renewing || !settings.renewable
    ? ignore(machine)
    : stay({ ...machine, renewing: true }, { do: 'fetch-token', reason: 'expiring' })

/** A new token counts from the next CONNECT on: the connection is changed for another, which takes a moment. */
const reconnectRenewed: Transition<'token-ready'> = (machine, _event, env) =>
  after(
    [{ do: 'hang-up' }, CLEAR],
    connect({ ...forget(machine, env), token: 'fresh', renewing: false, tried: 0 }, env),
  )

const made: Transition<'progress'> = (machine) =>
  machine.progressed ? ignore(machine) : stay({ ...machine, progressed: true, failures: 0 })

const lostStanding: Transition<'lost'> = (machine, { error }, env) => after([DROP], connectionLost(machine, env, error))
const byeStanding: Transition<'bye'> = (machine, event, env) => after([DROP], obey(machine, event, env))
const brokenStanding: Transition<'broken'> = (machine, { error }, env) =>
  after([DROP], streamBroken(machine, env, error))
const ping: Transition<'network'> = (machine) => stay(machine, { do: 'ping' })

/** The last handler is still waited for: its record counts, even if no acknowledgement can go out any more. */
const dropClosing = (machine: Machine): Step => stay(machine, DROP)

// ----- the table -----------------------------------------------------------------------------------------------------------

const nothing = {
  start: ignore,
  'token-ready': ignore,
  'token-failed': ignore,
  opened: ignore,
  refused: ignore,
  welcome: ignore,
  'caught-up': ignore,
  progress: ignore,
  lost: ignore,
  bye: ignore,
  broken: ignore,
  'wait-over': ignore,
  deadline: ignore,
  'token-due': ignore,
  network: ignore,
  close: ignore,
  'hung-up': ignore,
  fail: ignore,
} as const satisfies { readonly [T in EventType]: Transition<T> }

type Table = { readonly [P in Phase]: { readonly [T in EventType]: Transition<T> } }

const TABLE: Table = {
  idle: {
    start: startAt,
    'token-ready': ignore,
    'token-failed': ignore,
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: ignore,
    lost: ignore,
    bye: ignore,
    broken: ignore,
    'wait-over': ignore,
    deadline: ignore,
    'token-due': ignore,
    network: ignore,
    close: closeAt,
    'hung-up': ignore,
    fail: failAt,
  },
  authorizing: {
    start: ignore,
    'token-ready': (machine, _event, env) => connect({ ...machine, token: 'fresh' }, env),
    'token-failed': tokenFailed,
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: ignore,
    lost: ignore,
    bye: ignore,
    broken: ignore,
    'wait-over': ignore,
    deadline: ignore,
    'token-due': ignore,
    network: ignore,
    close: closeAt,
    'hung-up': ignore,
    fail: failAt,
  },
  opening: {
    start: ignore,
    'token-ready': ignore,
    'token-failed': ignore,
    opened: (machine) => stay({ ...machine, phase: 'greeting' }, { do: 'greet' }),
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: ignore,
    lost: (machine, { error }, env) => after([DROP], attemptFailed(machine, env, error)),
    bye: ignore,
    broken: ignore,
    'wait-over': ignore,
    deadline: (machine, _event, env) => after([DROP], attemptFailed(machine, env, timeout())),
    'token-due': ignore,
    network: ignore,
    close: dropAndClose,
    'hung-up': ignore,
    fail: dropAndFail,
  },
  greeting: {
    start: ignore,
    'token-ready': ignore,
    'token-failed': ignore,
    opened: ignore,
    refused: (machine, { code }, env) => refused(machine, code, env),
    welcome: (machine, _event, env) =>
      stay(
        {
          ...machine,
          phase: 'catching-up',
          token: 'held',
          tried: 0,
          strangers: 0,
          welcomedAt: env.now,
          progressed: false,
        },
        CLEAR,
        { do: 'remember-url', url: machine.url },
      ),
    'caught-up': ignore,
    progress: ignore,
    lost: (machine, { error }, env) => after([DROP], attemptFailed(abandon(machine), env, error)),
    bye: byeStanding,
    broken: (machine, { error }, env) => after([DROP], greetingBroken(abandon(machine), env, error)),
    'wait-over': ignore,
    deadline: (machine, _event, env) => after([DROP], attemptFailed(abandon(machine), env, timeout())),
    'token-due': ignore,
    network: ignore,
    close: dropAndClose,
    'hung-up': ignore,
    fail: dropAndFail,
  },
  'catching-up': {
    start: ignore,
    'token-ready': reconnectRenewed,
    'token-failed': renewalFailed,
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': (machine) => stay({ ...machine, phase: 'live' }),
    progress: made,
    lost: lostStanding,
    bye: byeStanding,
    broken: brokenStanding,
    'wait-over': ignore,
    deadline: ignore,
    'token-due': renew,
    network: ping,
    close: closeAt,
    'hung-up': ignore,
    fail: hangUpAndFail,
  },
  live: {
    start: ignore,
    'token-ready': reconnectRenewed,
    'token-failed': renewalFailed,
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: made,
    lost: lostStanding,
    bye: byeStanding,
    broken: brokenStanding,
    'wait-over': ignore,
    deadline: ignore,
    'token-due': renew,
    network: ping,
    close: closeAt,
    'hung-up': ignore,
    fail: hangUpAndFail,
  },
  waiting: {
    start: ignore,
    // A renewal that was under way when the connection ended.
    'token-ready': (machine) => stay({ ...machine, token: 'fresh', renewing: false }),
    'token-failed': (machine, { error }) =>
      error.terminal ? end(machine, error) : stay({ ...machine, renewing: false }, report(error)),
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: ignore,
    lost: ignore,
    bye: ignore,
    broken: ignore,
    'wait-over': (machine, _event, env) => connect(machine, env),
    deadline: ignore,
    'token-due': ignore,
    network: (machine, { back }, env) =>
      back && !machine.ordered ? after([CLEAR], connect(machine, env)) : ignore(machine),
    close: closeAt,
    'hung-up': ignore,
    fail: failAt,
  },
  closing: {
    start: ignore,
    'token-ready': ignore,
    'token-failed': ignore,
    opened: ignore,
    refused: ignore,
    welcome: ignore,
    'caught-up': ignore,
    progress: ignore,
    lost: dropClosing,
    bye: dropClosing,
    broken: dropClosing,
    'wait-over': ignore,
    deadline: (machine) => after([DROP], end(machine, null)),
    'token-due': ignore,
    network: ignore,
    close: ignore,
    'hung-up': (machine) => end(machine, null),
    fail: dropAndFail,
  },
  closed: nothing,
}

/** The next machine, and what is to be done. */
export function transition<T extends EventType>(machine: Machine, event: MachineEvent<T>, env: Env): Step {
  const row: Table[Phase] = TABLE[machine.phase]
  return row[event.type](machine, event, env)
}
