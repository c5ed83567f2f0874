// What a device that is to be killed is told.

/** Where it kills itself. `loaded`: the storage was read, nothing was written to it. */
export const KILL_PLACES = ['loaded', 'started', 'ended', 'before-write', 'in-write', 'after-write'] as const

export type KillPlace = (typeof KILL_PLACES)[number]

export interface KillOrder {
  readonly url: string
  readonly device: string
  readonly token: string
  readonly folder: string
  readonly runs: string
  readonly fsync: boolean
  /** Null: somebody else does it. `count`: at the how many-th time that it comes by. */
  readonly kill: { readonly place: KillPlace; readonly count: number } | null
}

export function isKillOrder(order: unknown): order is KillOrder {
  return typeof order === 'object' && order !== null && 'kill' in order
}
