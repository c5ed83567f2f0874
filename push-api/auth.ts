import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../core/clock.js'
import { PostriderError } from '../core/errors.js'
import type { Scope } from '../core/ports/credentials.js'
import type { Identity, Keyring } from '../core/security/api-keys.js'
import { hasScope } from '../core/security/scopes.js'

/** How long an answer of the keyring is taken again; it adds to the second that the keyring itself may be behind. */
const CACHE_MS = 200
const CACHE_MAX = 1_000

const SCHEME = /^Bearer +([\x21-\x7e]+) *$/i

/** Answers through `done` at once, or through the promise that it returns: most requests need no promise. */
export type OnRequest = (
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
) => Promise<void> | undefined

export interface Authenticator {
  /** A hook that lets through whoever holds a key with `scope`; null: any key. */
  require(scope: Scope | null): OnRequest
  /** A key was revoked on this node. */
  forget(): void
}

/** What a connection has shown, and what it was worth. */
interface Shown {
  readonly authorization: string
  readonly identity: Identity
  readonly until: number
}

/** Compares without ending at the first difference. Only the length shows, and it is that of the text sent before. */
function sameText(a: string, b: string): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i)
  return difference === 0
}

/**
 * Checks `Authorization: Bearer`. What is remembered is found by the SHA-256 of the key, never by the key, so that the time a
 * lookup takes says nothing about keys; a key that is not known is never remembered. A connection that shows again what it
 * showed before is known without a hash.
 */
export function createAuthenticator(keyring: Keyring, clock: Pick<Clock, 'monotonic'>): Authenticator {
  const known = new Map<string, { readonly identity: Identity; readonly until: number }>()
  let shown = new WeakMap<object, Shown>()
  let revocations = 0

  function shownBefore(connection: object, authorization: string): Identity | null {
    const before = shown.get(connection)
    if (before === undefined || !sameText(before.authorization, authorization)) return null
    return clock.monotonic() < before.until ? before.identity : null
  }

  function remembered(connection: object, authorization: string, digest: string): Identity | null {
    const entry = known.get(digest)
    if (entry === undefined) return null
    if (clock.monotonic() < entry.until) {
      shown.set(connection, { authorization, ...entry })
      return entry.identity
    }
    known.delete(digest)
    return null
  }

  async function ask(key: string, digest: string): Promise<Identity> {
    const revocationsBefore = revocations
    const until = clock.monotonic() + CACHE_MS
    const identity = await keyring.authenticate(key)
    if (identity === null) throw new PostriderError('unauthorized', 'the API key is not valid, or was revoked')
    if (revocations === revocationsBefore) {
      if (known.size >= CACHE_MAX) known.clear()
      known.set(digest, { identity, until })
    }
    return identity
  }

  function denial(identity: Identity, scope: Scope | null): PostriderError | undefined {
    if (scope === null || hasScope(identity.scopes, scope)) return undefined
    return new PostriderError('missing_scope', `this call needs an API key with the scope "${scope}"`, {
      details: { scope },
    })
  }

  async function check(key: string, digest: string, scope: Scope | null): Promise<void> {
    const error = denial(await ask(key, digest), scope)
    if (error !== undefined) throw error
  }

  return {
    require(scope) {
      return (request, _reply, done) => {
        const { socket } = request.raw
        const { authorization = '' } = request.headers
        const before = shownBefore(socket, authorization)
        if (before !== null) {
          done(denial(before, scope))
          return undefined
        }
        const key = SCHEME.exec(authorization)?.[1]
        if (key === undefined) {
          done(new PostriderError('unauthorized', 'send "Authorization: Bearer <api key>"'))
          return undefined
        }
        const digest = hash('sha256', key, 'base64')
        const identity = remembered(socket, authorization, digest)
        if (identity !== null) {
          done(denial(identity, scope))
          return undefined
        }
        return check(key, digest, scope)
      }
    },
    forget() {
      revocations++
      known.clear()
      shown = new WeakMap()
    },
  }
}
