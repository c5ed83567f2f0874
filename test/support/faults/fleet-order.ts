// What a process that plays devices is told, and what it says.

import type { FleetEvent } from './history.js'

/** What it is started with. */
export interface FleetOrder {
  /** Of the load balancer in front of the brokers, where plain devices go. */
  readonly port: number
  /** Where SDK devices go: the n-th one to the n-th of them first. */
  readonly urls: readonly string[]
  readonly plain: readonly string[]
  readonly sdk: readonly string[]
  readonly tokenSecret: string
  /** Where the SDK devices keep what they have handled; null: in memory. */
  readonly folder: string | null
  /** SDK devices wait and try as the SDK does by itself; else they are quicker. */
  readonly patient: boolean
}

/** What it is told later. */
export type FleetCommand =
  /** The first so many plain devices get a second self, which connects as they do; until `single`. */
  { readonly do: 'double'; readonly count: number } | { readonly do: 'single' }

export interface FleetNews {
  readonly events: readonly FleetEvent[]
  /** Devices that are connected and subscribed. */
  readonly ready: number
  /** Some of the others. */
  readonly missing: readonly string[]
}

export const isFleetOrder = (order: unknown): order is FleetOrder =>
  typeof order === 'object' && order !== null && 'tokenSecret' in order && 'sdk' in order

export const isFleetCommand = (command: unknown): command is FleetCommand =>
  typeof command === 'object' && command !== null && 'do' in command

export const isFleetNews = (news: unknown): news is FleetNews =>
  typeof news === 'object' && news !== null && 'events' in news
