export const SCOPES = ['push', 'read', 'admin'] as const
export type Scope = (typeof SCOPES)[number]

/** A stored API key: never the key itself. */
export interface ApiKeyRecord {
  /** Random, public; the part of the key before its secret. */
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  /** SHA-256 of the secret part, 32 bytes. The secret has 256 random bits, so a plain hash is enough. */
  readonly hash: Uint8Array
  readonly createdAt: number
}

/**
 * API keys and device revocations. Contract: every change is durable when its promise resolves and seen by every later
 * read on any node within one second; reads are exact on the node that wrote. Errors as in Mailbox.
 */
export interface Credentials {
  /** Adds a key; rejects with RangeError when the id is taken. */
  addKey(key: ApiKeyRecord): Promise<void>
  /** Null: no such key. */
  getKey(id: string): Promise<ApiKeyRecord | null>
  /** All keys by createdAt, then id. */
  listKeys(): Promise<readonly ApiKeyRecord[]>
  /** False when there was no such key. */
  removeKey(id: string): Promise<boolean>
  /**
   * Refuses tokens of `device` issued at or before `at` (milliseconds), until `keepUntil`. A later call never moves `at`
   * back.
   */
  revoke(device: string, at: number, keepUntil: number): Promise<void>
  /** Milliseconds, or null when nothing is revoked. */
  revokedAt(device: string): Promise<number | null>
  close(): Promise<void>
}
