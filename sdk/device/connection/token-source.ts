// The device's token: a fixed one, or what the application's getToken gives.

import { utf8Length } from '../../../protocol/utf8-length.js'
import { messageOf, PostriderError } from '../errors.js'
import { FIELD_MAX } from '../mqtt/packets.js'
import type { Clock, Random } from '../platform.js'
import type { TokenReason } from './machine-types.js'
import { readTokenLife, renewalDelay } from './token-life.js'

export interface TokenRequest {
  /** Why a token is wanted: none was had before, it will expire soon, or the server refused the last one. */
  readonly reason: TokenReason
  /** Aborted when the answer is not wanted any more. */
  readonly signal: AbortSignal
}

/** Null: connect without a password, to a server that asks for none. */
export type GetToken = (request: TokenRequest) => string | null | Promise<string | null>

export class TokenSource {
  readonly #get: GetToken | null
  readonly #timeoutMs: number
  readonly #clock: Clock
  readonly #random: Random
  #token: string | null
  #abort: AbortController | null = null
  #cancelDue: (() => void) | null = null

  /** `get` null: the token is fixed. */
  constructor(token: string | null, get: GetToken | null, timeoutMs: number, clock: Clock, random: Random) {
    this.#token = token
    this.#get = get
    this.#timeoutMs = timeoutMs
    this.#clock = clock
    this.#random = random
  }

  /** The last one. */
  get token(): string | null {
    return this.#token
  }

  /**
   * Asks the application. Rejects with PostriderError: `token_failed`, or the terminal one that getToken threw. A token that is
   * the same as the one that is about to expire or was refused is a failure too.
   */
  async fetch(reason: TokenReason): Promise<void> {
    const get = this.#get
    if (get === null) throw new PostriderError('token_failed', 'there is no getToken')
    const abort = new AbortController()
    this.#abort = abort
    try {
      const token: unknown = await this.#inTime(abort, async () => get({ reason, signal: abort.signal }))
      if (token !== null && (typeof token !== 'string' || token === '')) {
        throw new PostriderError('token_failed', 'it must give a string that is not empty, or null')
      }
      if (token !== null && utf8Length(token) > FIELD_MAX) {
        throw new PostriderError(
          'token_failed',
          `it gave one of more than ${FIELD_MAX} bytes, which no CONNECT can carry`,
        )
      }
      if (reason === 'expiring' && token !== null && token === this.#token) {
        throw new PostriderError('token_failed', 'it gave the token that is about to expire')
      }
      this.#token = token
    } catch (error) {
      if (error instanceof PostriderError) throw error
      throw new PostriderError('token_failed', messageOf(error), { cause: error })
    } finally {
      if (this.#abort === abort) this.#abort = null
    }
  }

  async #inTime<T>(abort: AbortController, get: () => Promise<T>): Promise<T> {
    let cancel = (): void => undefined
    const late = new Promise<never>((_resolve, reject) => {
      const giveUp = (error: PostriderError): void => {
        abort.abort(error)
        reject(error)
      }
      cancel = this.#clock.after(this.#timeoutMs, () =>
        giveUp(new PostriderError('token_failed', `no answer within ${this.#timeoutMs} ms`)),
      )
      abort.signal.addEventListener('abort', () => reject(new PostriderError('token_failed', 'not wanted any more')))
    })
    try {
      return await Promise.race([get(), late])
    } finally {
      cancel()
    }
  }

  /** Calls `due` when the token should be renewed. `serverTime`: the server's clock now. */
  watch(serverTime: number, due: () => void): void {
    this.unwatch()
    if (this.#get === null || this.#token === null) return
    const life = readTokenLife(this.#token)
    if (life !== null) this.#cancelDue = this.#clock.after(renewalDelay(life, serverTime, this.#random), due)
  }

  /** Calls `due` after so long, in place of what was watched for. */
  watchAgain(ms: number, due: () => void): void {
    this.unwatch()
    this.#cancelDue = this.#clock.after(ms, due)
  }

  unwatch(): void {
    this.#cancelDue?.()
    this.#cancelDue = null
  }

  /** Nobody waits for a token any more. */
  close(): void {
    this.unwatch()
    this.#abort?.abort()
  }
}
