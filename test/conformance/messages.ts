// Small words for the suites: messages to append, and results in a form that is easy to compare.

import type { NewMessage, Position } from '../../core/model/message.js'
import type { AppendAccepted, AppendResult, Mailbox, PageEntry, ReadResult } from '../../core/ports/mailbox.js'

export type MessageFields = Partial<Omit<NewMessage, 'device' | 'payload'>> & {
  readonly payload?: string | Uint8Array
}

export function message(device: string, fields: MessageFields = {}): NewMessage {
  const { payload = 'hello', ...rest } = fields
  return {
    device,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    contentType: 'text/plain',
    attributes: null,
    dedupId: null,
    ttl: null,
    priority: 'normal',
    ...rest,
  }
}

/** `count` messages to one device with the payloads `prefix1`, `prefix2`, … */
export function messages(device: string, count: number, prefix = 'm', fields: MessageFields = {}): NewMessage[] {
  return Array.from({ length: count }, (_, i) => message(device, { ...fields, payload: `${prefix}${i + 1}` }))
}

export function accepted(result: AppendResult | undefined): AppendAccepted {
  if (result === undefined || !result.ok) throw new Error(`not accepted: ${JSON.stringify(result)}`)
  return result
}

/** Appends one message that must be accepted. */
export async function push(mailbox: Mailbox, device: string, fields: MessageFields = {}): Promise<AppendAccepted> {
  return accepted((await mailbox.append([message(device, fields)]))[0])
}

/** Appends `count` messages in one call, all of which must be accepted; the last result. */
export async function fill(
  mailbox: Mailbox,
  device: string,
  count: number,
  fields: MessageFields = {},
): Promise<AppendAccepted> {
  return (await mailbox.append(messages(device, count, 'm', fields))).map(accepted).at(-1) ?? accepted(undefined)
}

export type Page = Extract<ReadResult, { kind: 'page' }>

export function page(result: ReadResult): Page {
  if (result.kind !== 'page') throw new Error(`not a page: ${JSON.stringify(result)}`)
  return result
}

const NO_LIMIT = { maxMessages: 100_000, maxBytes: 1 << 30 }

/** A page without limits, by a claim that must be the stored one. */
export async function readAll(mailbox: Mailbox, device: string, claimId: string, position: Position): Promise<Page> {
  return page(await mailbox.read({ device, claimId, position, ...NO_LIMIT }))
}

/** One word per seq: `3` a message, `3*` a redelivered one, `4 expired` an exception. */
export function outline(entries: readonly PageEntry[]): string[] {
  return entries.flatMap((entry) => {
    if (entry.kind === 'message') return [`${entry.message.seq}${entry.redelivered ? '*' : ''}`]
    return range(entry.from, entry.to).map((seq) => `${seq} ${entry.reason}`)
  })
}

/** from, from + 1, …, to. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
}

export const textOf = (payload: Uint8Array): string => Buffer.from(payload).toString()

/** Claims `device` for `claimId`, by force; where delivery begins. */
export async function own(mailbox: Mailbox, device: string, claimId = 'claim-1'): Promise<Position> {
  const granted = await mailbox.claim(device, { node: 'node-1', claimId }, { force: true })
  if (!granted.ok) throw new Error('a forced claim was refused')
  return granted.position
}

/** The state word of a message, or the kind when it is not known. */
export async function stateOf(
  mailbox: Mailbox,
  device: string,
  seq: number,
  epoch: string | null = null,
): Promise<string> {
  const state = await mailbox.state(device, seq, epoch)
  return state.kind === 'known' ? state.state : state.kind
}

export async function ack(mailbox: Mailbox, device: string, position: Position, sent?: Position) {
  const [result] = await mailbox.ack([sent === undefined ? { device, position } : { device, position, sent }])
  if (result === undefined) throw new Error('an ack without a result')
  return result
}

/** What `check` answers once it is not undefined; fails after `ms` of real time. */
export async function eventually<T>(check: () => Promise<T | undefined>, ms = 3_000, what = 'condition'): Promise<T> {
  const deadline = performance.now() + ms
  for (;;) {
    const value = await check()
    if (value !== undefined) return value
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
