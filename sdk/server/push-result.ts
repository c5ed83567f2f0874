import type { PushError } from './push-error.js'

/** Where a message was stored. */
export interface PushResult {
  readonly device: string
  readonly seq: number
  readonly epoch: string
  /** It had been accepted before: nothing was stored now. */
  readonly duplicate: boolean
}

/** What became of one message of many. */
export type PushOutcome =
  ({ readonly ok: true } & PushResult) | { readonly ok: false; readonly device: string; readonly error: PushError }
