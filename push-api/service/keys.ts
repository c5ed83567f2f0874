import { PostriderError } from '../../core/errors.js'
import type { ApiKeyRecord, Scope } from '../../core/ports/credentials.js'
import { createApiKey } from '../../core/security/api-keys.js'
import type { ServiceContext } from './context.js'
import { rfc3339 } from './shapes.js'

export interface KeyView {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly createdAt: string
}

const viewOf = ({ id, name, scopes, createdAt }: ApiKeyRecord): KeyView => ({
  id,
  name,
  scopes,
  createdAt: rfc3339(createdAt),
})

/** A new key. `key` is told this once and stored nowhere. */
export async function createKey(
  context: ServiceContext,
  name: string,
  scopes: readonly Scope[],
): Promise<KeyView & { readonly key: string }> {
  const { key, record } = createApiKey(name, scopes, context.clock)
  await context.credentials.addKey(record)
  return { key, ...viewOf(record) }
}

export async function listKeys(context: ServiceContext): Promise<{ readonly keys: readonly KeyView[] }> {
  return { keys: (await context.credentials.listKeys()).map(viewOf) }
}

/** From the answer on, this node refuses the key. */
export async function revokeKey(context: ServiceContext, id: string): Promise<void> {
  const existed = await context.credentials.removeKey(id)
  context.keyring.forget(id)
  if (!existed) throw new PostriderError('not_found', 'no such key')
}
