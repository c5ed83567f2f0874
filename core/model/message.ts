/** A position in a log: everything up to `seq`, in the history named by `epoch`. */
export interface Position {
  readonly epoch: string
  readonly seq: number
}

export type Priority = 'normal' | 'high'

/** String pairs sorted by key (by UTF-16 code unit), keys unique. A list, because keys are data, never property names. */
export type Attributes = ReadonlyArray<readonly [key: string, value: string]>

/** A message as a producer hands it over, validated. */
export interface NewMessage {
  readonly device: string
  readonly payload: Uint8Array
  readonly contentType: string
  readonly attributes: Attributes | null
  readonly dedupId: string | null
  /** Seconds; null: lives as long as the retention. */
  readonly ttl: number | null
  readonly priority: Priority
  /** The backend is told when the device has handled it (the event `message.handled`). Default false. */
  readonly receipt?: boolean
}

/** A message in a log. Times are integer milliseconds UTC, by the store's clock. */
export interface StoredMessage {
  readonly seq: number
  readonly at: number
  readonly expiresAt: number | null
  readonly priority: Priority
  readonly dedupId: string | null
  readonly contentType: string
  readonly attributes: Attributes | null
  readonly payload: Uint8Array
  /** See NewMessage. */
  readonly receipt?: boolean
}

/**
 * What a message weighs against `--inbox-max-bytes`, windows and page limits: the bytes of payload, content type,
 * attributes and dedup id (as UTF-16 length, an estimate that needs no encoding), plus 64 for the rest.
 */
export function messageSize(m: Omit<StoredMessage, 'seq' | 'at' | 'expiresAt' | 'priority'>): number {
  let size = 64 + m.payload.byteLength + m.contentType.length + (m.dedupId === null ? 0 : m.dedupId.length)
  if (m.attributes !== null) for (const [key, value] of m.attributes) size += key.length + value.length
  return size
}
