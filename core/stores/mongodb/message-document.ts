// A message's body, as it stands in the tail of a device document and in documents of spilled messages. Times and sizes are in the
// heads (entry-heads.ts). Keys of attributes are data, so they are values here, too: a flat list of keys and values.

import type { NewMessage, StoredMessage } from '../../model/message.js'
import type { EntryHead } from './entry-heads.js'
import { bytesOf, type Fields, fieldsOf, listOf, textOf } from './fields.js'

export interface MessageDocument {
  readonly p: Uint8Array
  readonly c: string
  /** Dedup id. */
  readonly d?: string
  /** Attributes. */
  readonly k?: readonly string[]
  /** High priority. */
  readonly h?: true
  /** An event is wanted when it is handled. */
  readonly r?: true
}

export function messageDocument(message: NewMessage): MessageDocument {
  const { payload, contentType, dedupId, attributes, priority, receipt } = message
  return {
    p: payload,
    c: contentType,
    ...(dedupId === null ? {} : { d: dedupId }),
    ...(attributes === null ? {} : { k: attributes.flat() }),
    ...(priority === 'high' ? { h: true } : {}),
    ...(receipt === true ? { r: true } : {}),
  }
}

export function readMessage(document: unknown, seq: number, { at, expiresAt }: EntryHead): StoredMessage {
  const fields = fieldsOf(document, 'message')
  return {
    seq,
    at,
    expiresAt: expiresAt === 0 ? null : expiresAt,
    priority: fields.get('h') === true ? 'high' : 'normal',
    dedupId: fields.has('d') ? textOf(fields, 'd') : null,
    contentType: textOf(fields, 'c'),
    attributes: fields.has('k') ? attributesOf(fields) : null,
    payload: bytesOf(fields, 'p'),
    ...(fields.get('r') === true ? { receipt: true } : {}),
  }
}

function attributesOf(fields: Fields): Array<readonly [string, string]> {
  const flat = listOf(fields, 'k').map(String)
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[i * 2] ?? '', flat[i * 2 + 1] ?? ''] as const)
}
