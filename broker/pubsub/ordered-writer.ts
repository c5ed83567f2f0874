import { StoreUnavailable } from '../../core/errors.js'
import type { Logger } from '../../core/log.js'
import type { SessionChange, SessionStore } from '../../core/ports/session-store.js'

/**
 * Writes to the store and does what follows a write in the order in which the writes were handed over; what needs no write
 * takes its turn among them.
 */
export class OrderedWriter {
  readonly #store: Pick<SessionStore, 'write'>
  readonly #log: Logger
  readonly #onFailure: (error: unknown) => void
  /** Everything handed over so far; null: it is done. Never rejects. */
  #tail: Promise<void> | null = null
  #blocked: string | null = null

  /** `onFailure`: a write was lost, perhaps with others that were under way; called before any later write can be made. */
  constructor(store: Pick<SessionStore, 'write'>, log: Logger, onFailure: (error: unknown) => void) {
    this.#store = store
    this.#log = log
    this.#onFailure = onFailure
  }

  /** Why nothing is written now; null: it is. */
  block(reason: string | null): void {
    this.#blocked = reason
  }

  /** Throws StoreUnavailable when nothing can be written. */
  mustServe(): void {
    if (this.#blocked !== null) throw new StoreUnavailable(this.#blocked)
  }

  /** `then` runs when the changes are stored. Throws StoreUnavailable: nothing was or will be done. */
  write(changes: readonly SessionChange[], then: () => void = () => {}): Promise<void> {
    this.mustServe()
    const written = this.#store.write(changes)
    const before = this.#tail
    const done = before === null ? written.then(then) : Promise.all([written, before]).then(then)
    this.#follow(
      done.catch((error: unknown) => {
        this.#onFailure(error)
      }),
    )
    return done
  }

  /** What nobody waits for. False: it is not stored, and will not be. */
  writeQuietly(changes: readonly SessionChange[]): boolean {
    try {
      this.write(changes).catch(() => {
        // `onFailure` has been told.
      })
      return true
    } catch (err) {
      this.#log.debug({ err, changes: changes.length }, 'changes of sessions could not be stored')
      return false
    }
  }

  /** Runs `then` after all writes before; null: it has run. */
  inTurn(then: () => void): Promise<void> | null {
    if (this.#tail === null) {
      then()
      return null
    }
    const done = this.#tail.then(then)
    this.#follow(done)
    return done
  }

  /** Resolves when everything that was handed over has ended in some way. */
  async settled(): Promise<void> {
    while (this.#tail !== null) await this.#tail
  }

  #follow(tail: Promise<void>): void {
    this.#tail = tail
    void tail.then(() => {
      if (this.#tail === tail) this.#tail = null
    })
  }
}
