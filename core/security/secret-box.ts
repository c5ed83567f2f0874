// Encryption of secrets that the store keeps and the server must be able to use: whoever reads the store, or a copy of it, has
// them only together with the token secret. AES-256-GCM; the key is derived from the token secret.

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import type { KeptSecret } from '../ports/webhook-store.js'

const CIPHER = 'aes-256-gcm'
const NONCE_SIZE = 12
const TAG_SIZE = 16
const PURPOSE = 'postrider webhook secrets'

interface BoxKey {
  readonly id: string
  readonly key: Uint8Array
}

function derive(secret: Uint8Array): BoxKey {
  const key = new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), PURPOSE, 32))
  return { key, id: createHash('sha256').update(key).digest().toString('base64url', 0, 6) }
}

export class SecretBox {
  #keys: readonly BoxKey[] = []

  /** The first seals, all open. Without any, secrets are kept as they are. */
  constructor(secrets: readonly Uint8Array[]) {
    this.useSecrets(secrets)
  }

  useSecrets(secrets: readonly Uint8Array[]): void {
    this.#keys = secrets.map(derive)
  }

  /** `owner`: what the secret belongs to; a sealed secret opens for no other. */
  seal(text: string, owner: string): Pick<KeptSecret, 'text' | 'sealedBy'> {
    const [first] = this.#keys
    if (first === undefined) return { text, sealedBy: null }
    const nonce = randomBytes(NONCE_SIZE)
    const cipher = createCipheriv(CIPHER, first.key, nonce).setAAD(Buffer.from(owner))
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return { text: sealed.toString('base64'), sealedBy: first.id }
  }

  /** Null: it was sealed with a key that is not here, or is damaged. */
  open({ text, sealedBy }: Pick<KeptSecret, 'text' | 'sealedBy'>, owner: string): string | null {
    if (sealedBy === null) return text
    const found = this.#keys.find(({ id }) => id === sealedBy)
    const sealed = Buffer.from(text, 'base64')
    if (found === undefined || sealed.length < NONCE_SIZE + TAG_SIZE) return null
    const end = sealed.length - TAG_SIZE
    try {
      const decipher = createDecipheriv(CIPHER, found.key, sealed.subarray(0, NONCE_SIZE))
        .setAAD(Buffer.from(owner))
        .setAuthTag(sealed.subarray(end))
      return decipher.update(sealed.subarray(NONCE_SIZE, end), undefined, 'utf8') + decipher.final('utf8')
    } catch {
      return null // the tag does not fit: the text, or its owner, is another
    }
  }

  /** False: a key that will go sealed it. */
  isFresh({ sealedBy }: Pick<KeptSecret, 'sealedBy'>): boolean {
    return sealedBy === (this.#keys[0]?.id ?? null)
  }
}
