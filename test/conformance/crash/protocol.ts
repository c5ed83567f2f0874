// What the child of the crash suite writes, and how parent and child know the same messages without telling each other.

import type { Mailbox } from '../../../core/ports/mailbox.js'
import type { NewMessage } from '../../../core/model/message.js'
import { message } from '../messages.js'

/** One line each, written before anything else happens after the answer. */
export type Line =
  | { readonly kind: 'opening' }
  | { readonly kind: 'open'; readonly generation: string }
  /** The calls `first` … of this worker are asked for: they may or may not have happened. */
  | { readonly kind: 'asked'; readonly device: string; readonly ids: readonly string[] }
  | {
      readonly kind: 'appended'
      readonly device: string
      readonly id: string
      readonly seq: number
      readonly epoch: string
    }
  | { readonly kind: 'acked'; readonly device: string; readonly seq: number; readonly cursor: number }
  | { readonly kind: 'cancelled'; readonly device: string; readonly seq: number }
  | { readonly kind: 'broken'; readonly text: string }

/** What a driver's opener module exports as `openForCrash`. The place outlives the process. */
export interface CrashStore {
  readonly mailbox: Mailbox
  close(): Promise<void>
}
export type OpenForCrash = (place: string) => Promise<CrashStore>

export const DEVICES = ['a', 'b', 'c', 'd']

/** The message of a dedup id: its payload says which, and is torn visibly if it is. */
export function messageOf(device: string, id: string): NewMessage {
  const length = 20 + (Number.parseInt(id.slice(-2), 36) % 400)
  return message(device, { dedupId: id, payload: `${id}|`.padEnd(length, `${id}.`), attributes: [['id', id]] })
}
