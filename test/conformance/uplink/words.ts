// Small words for the suite: uplinks to append, and the log in a form that is easy to compare.

import type { NewUplink, StoredUplink, Uplink, UplinkResult } from '../../../core/ports/uplink.js'

export type UplinkFields = Partial<Omit<NewUplink, 'device' | 'payload'>> & { readonly payload?: string | Uint8Array }

export function uplink(device: string, fields: UplinkFields = {}): NewUplink {
  const { payload = 'hello', ...rest } = fields
  return {
    device,
    channel: 'c',
    contentType: null,
    will: false,
    dedupId: null,
    ...rest,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
  }
}

/** `count` uplinks of one device with the payloads `prefix1`, `prefix2`, … */
export function uplinks(device: string, count: number, prefix = 'u', fields: UplinkFields = {}): NewUplink[] {
  return Array.from({ length: count }, (_, i) => uplink(device, { ...fields, payload: `${prefix}${i + 1}` }))
}

export function stored(result: UplinkResult | undefined): Extract<UplinkResult, { ok: true }> {
  if (result === undefined || !result.ok) throw new Error(`not stored: ${JSON.stringify(result)}`)
  return result
}

/** Appends one uplink that must be stored. */
export async function send(port: Uplink, device: string, fields: UplinkFields = {}) {
  return stored((await port.append([uplink(device, fields)]))[0])
}

/** The pages from `after` to the end. */
export async function pages(
  port: Uplink,
  query: { readonly after?: string | null; readonly limit?: number; readonly maxBytes?: number } = {},
): Promise<StoredUplink[][]> {
  const all: StoredUplink[][] = []
  let after = query.after ?? null
  for (;;) {
    const page = await port.read({ after, limit: query.limit ?? 1_000, maxBytes: query.maxBytes ?? 1 << 22 })
    if (page === null) throw new Error(`${after} is not taken for an id`)
    if (page.uplinks.length > 0 || page.more) all.push([...page.uplinks])
    const last = page.uplinks.at(-1)
    if (!page.more || last === undefined) return all
    after = last.id
  }
}

/** The log from `after` to its end. */
export async function readLog(port: Uplink, after: string | null = null): Promise<StoredUplink[]> {
  return (await pages(port, { after })).flat()
}

export const text = ({ payload }: StoredUplink): string => Buffer.from(payload).toString()

/** One word per uplink: `device:payload`. */
export const outline = (log: readonly StoredUplink[]): string[] => log.map((u) => `${u.device}:${text(u)}`)
