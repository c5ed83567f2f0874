// What can happen to a connection, as steps of the machine; machine.ts says when each does.

import { PostriderError, type SdkErrorCode } from '../errors.js'
import { backoffDelay, uniform } from './backoff.js'
import type { Bye, Effect, Env, Machine, Step } from './machine-types.js'

/** After a `taken_over` that may be one's own doing, and after a broken stream: as after a resync. */
const SOON_MS = 500
/** So many byes without progress are obeyed as they are; then the delay of failures is added. */
const PATIENT_BYES = 3

export const stay = (machine: Machine, ...effects: readonly Effect[]): Step => ({ machine, effects })

export const ignore = (machine: Machine): Step => ({ machine, effects: [] })

/** Effects in front of those of a step. */
export const after = (effects: readonly Effect[], step: Step): Step => ({
  ...step,
  effects: [...effects, ...step.effects],
})

export const DROP: Effect = { do: 'drop' }
export const CLEAR: Effect = { do: 'clear-timers' }
export const report = (error: PostriderError): Effect => ({ do: 'report', error })

/** Connects: with the token that is held, or after fetching one. A renewal that is under way is waited for. */
export function connect(machine: Machine, env: Env): Step {
  const { settings } = env
  if (machine.renewing) return stay({ ...machine, phase: 'authorizing', renewing: false })
  if (machine.token === 'missing') {
    return stay({ ...machine, phase: 'authorizing' }, { do: 'fetch-token', reason: machine.tokenReason })
  }
  return stay(
    { ...machine, phase: 'opening', welcomedAt: null, progressed: false },
    { do: 'deadline', ms: settings.connectTimeoutMs },
    { do: 'open', url: machine.url },
  )
}

/** A server that has heard of a connection has come to an end with all earlier ones by then. Milliseconds. */
const LATE_MS = 60_000

/**
 * What earlier connections left behind cannot hit any more once one has stood for long. Else a device that gave up many in its
 * life would answer another client of its id with as many reconnects.
 */
export function forget(machine: Machine, env: Env): Machine {
  const over = machine.welcomedAt !== null && env.now - machine.welcomedAt >= LATE_MS
  return over && machine.abandoned > 0 ? { ...machine, abandoned: 0 } : machine
}

/** `ordered`: the server said how long, and no change of the network shortens it. */
export function wait(ended: Machine, ms: number, env: Env, ordered = false): Step {
  const machine = forget(ended, env)
  const broken = machine.broken && !stoodLong(machine, env)
  const next: Machine = {
    ...machine,
    phase: 'waiting',
    welcomedAt: null,
    progressed: false,
    broken,
    ordered,
    strangers: 0,
  }
  return stay(next, CLEAR, { do: 'wait', ms })
}

export function end(machine: Machine, error: PostriderError | null): Step {
  return stay({ ...machine, phase: 'closed', welcomedAt: null }, CLEAR, { do: 'end', error })
}

/** This attempt failed. The other URLs are tried at once; when all have failed, after a delay. */
export function attemptFailed(machine: Machine, env: Env, error: PostriderError): Step {
  const { urls, backoff } = env.settings
  const next = { ...machine, url: (machine.url + 1) % urls, tried: machine.tried + 1 }
  if (next.tried < urls) return after([report(error), CLEAR], connect(next, env))
  const failures = machine.failures + 1
  return after([report(error)], wait({ ...next, tried: 0, failures }, backoffDelay(backoff, failures, env.random), env))
}

/** True when the connection was of use: what follows is a first failure. */
function wasGood(machine: Machine, env: Env): boolean {
  return machine.progressed || stoodLong(machine, env)
}

function stoodLong(machine: Machine, env: Env): boolean {
  return machine.welcomedAt !== null && env.now - machine.welcomedAt >= env.settings.backoff.stableMs
}

/** A connection that stood has ended without a word. */
export function connectionLost(machine: Machine, env: Env, error: PostriderError): Step {
  const failures = wasGood(machine, env) ? 1 : machine.failures + 1
  return after(
    [report(error)],
    wait({ ...machine, failures }, backoffDelay(env.settings.backoff, failures, env.random), env),
  )
}

/** One more connection that the server may still be working on, and that may kick the next one. */
export const abandon = (machine: Machine): Machine => ({ ...machine, abandoned: machine.abandoned + 1 })

const NEVER_CODES: ReadonlyMap<string, SdkErrorCode> = new Map([
  ['taken_over', 'taken_over'],
  ['revoked', 'revoked'],
  ['protocol_error', 'protocol_error'],
])

/** The server has said why it closes, and what to do. `ended` stands at the connection that it ends. */
export function obey(ended: Machine, bye: Bye, env: Env): Step {
  const machine = forget(ended, env)
  if (bye.code === 'taken_over' && machine.abandoned > 0) {
    // The connection that took over may be one that this client gave up itself.
    const error = new PostriderError('server_closed', 'taken over by an earlier connection of this client')
    const delay = uniform(0, SOON_MS, env.random)
    return after([report(error)], wait({ ...machine, abandoned: machine.abandoned - 1 }, delay, env))
  }
  if (bye.reconnect === 'never') {
    const code = NEVER_CODES.get(bye.code)
    return end(
      machine,
      code === undefined ? new PostriderError('closed_by_server', bye.code) : new PostriderError(code),
    )
  }
  let next = machine
  if (bye.code === 'token_expired') {
    if (!env.settings.renewable) return end(machine, new PostriderError('token_expired'))
    next = { ...machine, token: 'missing', tokenReason: 'expiring' }
  }
  // That server goes; another one may stand at the next URL.
  if (bye.code === 'draining') next = { ...next, url: (next.url + 1) % env.settings.urls, tried: 0 }
  const failures = wasGood(machine, env) ? 0 : machine.failures + 1
  const more = failures - PATIENT_BYES
  const delay =
    uniform(bye.minMs, bye.maxMs, env.random) + (more > 0 ? backoffDelay(env.settings.backoff, more, env.random) : 0)
  return after([report(new PostriderError('server_closed', bye.code))], wait({ ...next, failures }, delay, env, true))
}

/** The server broke the protocol: one reconnect may mend it. A second time soon after, it will not. */
export function streamBroken(machine: Machine, env: Env, error: PostriderError): Step {
  if (machine.broken && !stoodLong(machine, env)) {
    return end(machine, new PostriderError('stream_broken', error.message, { cause: error }))
  }
  const step = wait(machine, uniform(0, SOON_MS, env.random), env)
  return after([report(error)], { ...step, machine: { ...step.machine, broken: true } })
}

/**
 * What answered is no such server, or a broken one: a proxy or a login page of the network may stand at one URL, and the server
 * at the next. It is a broken stream when no URL of this turn answered otherwise.
 */
export function greetingBroken(machine: Machine, env: Env, error: PostriderError): Step {
  const { urls } = env.settings
  const strangers = machine.strangers + 1
  if (strangers < urls) return attemptFailed({ ...machine, strangers }, env, error)
  return streamBroken({ ...machine, url: (machine.url + 1) % urls, tried: 0 }, env, error)
}

const CONNACK_TERMINAL: ReadonlyMap<number, SdkErrorCode> = new Map([
  [1, 'unsupported_server'],
  [2, 'invalid_device_id'],
  [4, 'unauthorized'],
  [5, 'forbidden'],
])
const CONNACK_UNAVAILABLE = 3
const TOKEN_REFUSED: ReadonlySet<number> = new Set([4, 5])

/** [MQTT-3.2.2-6]: the server closes after another code than 0. It made no claim, so nothing was abandoned. */
export function refused(machine: Machine, code: number, env: Env): Step {
  if (code === CONNACK_UNAVAILABLE) {
    return after([DROP], attemptFailed(machine, env, new PostriderError('server_unavailable')))
  }
  if (TOKEN_REFUSED.has(code) && env.settings.renewable && machine.token !== 'fresh') {
    return after([DROP, CLEAR], connect({ ...machine, token: 'missing', tokenReason: 'refused' }, env))
  }
  const known = CONNACK_TERMINAL.get(code)
  const error =
    known === undefined ? new PostriderError('unsupported_server', `CONNACK ${code}`) : new PostriderError(known)
  return after([DROP], end(machine, error))
}

export const timeout = (): PostriderError => new PostriderError('connect_timeout')
