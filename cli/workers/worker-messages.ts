// What the parent and its workers say to each other over the channel that Node keeps between them.

import type { Ports } from '../compose.js'

export type Order =
  /** Stop in good order. */
  | { readonly do: 'drain' }
  /** Stop, and wait for nothing more. */
  | { readonly do: 'hurry' }
  | { readonly do: 'tell'; readonly id: number; readonly what: Question }

export type Question = 'metrics' | 'readiness'

export interface WorkerReadiness {
  readonly ready: boolean
  /** What is not good. */
  readonly why: string
}

export type Report =
  /** It can be given orders. */
  | { readonly said: 'here' }
  /** It serves, on these ports. */
  | { readonly said: 'serving'; readonly ports: Ports }
  | { readonly said: 'metrics'; readonly id: number; readonly metrics: readonly unknown[] }
  | ({ readonly said: 'readiness'; readonly id: number } & WorkerReadiness)

const PORT_NAMES = ['mqtt', 'mqtts', 'ws', 'wss', 'http', 'https', 'admin'] as const

const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined

/** Null: nothing of ours; Node says things of its own over the same channel. */
export function readOrder(message: unknown): Order | null {
  const order = fieldOf(message, 'do')
  if (order === 'drain' || order === 'hurry') return { do: order }
  const id = fieldOf(message, 'id')
  const what = fieldOf(message, 'what')
  if (order !== 'tell' || typeof id !== 'number' || (what !== 'metrics' && what !== 'readiness')) return null
  return { do: 'tell', id, what }
}

/** Null: nothing of ours. */
export function readReport(message: unknown): Report | null {
  const said = fieldOf(message, 'said')
  if (said === 'here') return { said }
  if (said === 'serving') return { said, ports: readPorts(fieldOf(message, 'ports')) }
  const id = fieldOf(message, 'id')
  if (typeof id !== 'number') return null
  if (said === 'metrics') {
    const metrics = fieldOf(message, 'metrics')
    return Array.isArray(metrics) ? { said, id, metrics } : null
  }
  if (said !== 'readiness') return null
  return { said, id, ready: fieldOf(message, 'ready') === true, why: String(fieldOf(message, 'why')) }
}

function readPorts(value: unknown): Ports {
  const ports = PORT_NAMES.flatMap((name) => {
    const port = fieldOf(value, name)
    return typeof port === 'number' ? [[name, port] as const] : []
  })
  return Object.fromEntries(ports)
}
