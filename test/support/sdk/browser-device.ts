// A device of the SDK in a real browser, and what the application in its page sees. The effects of its handler happen in the
// test, so neither a reload of the page nor the end of the browser takes them back.

import type { Page } from 'playwright-core'
import { until } from '../broker/node.js'
import type { TestBrowser } from '../chromium.js'

/** A browser is slow on a machine that has much to do, and each message is on the disk before the next is begun. */
const PATIENCE_MS = 60_000

export interface Effect {
  readonly seq: number
  readonly attempt: number
  readonly text: string
}

/** Options of `connect` that can be said in JSON. */
export type PageOptions = Readonly<Record<string, unknown>>

// Runs in the page. `effect`, `happened` and `wantToken` call the test.
const START = `async ({ modules, storage, renewable, options }) => {
  const { connect, indexedDbStorage, memoryStorage } = await import(modules)
  const client = connect({
    ...(renewable ? { getToken: ({ reason }) => window.wantToken(reason) } : { token: null }),
    storage: storage === null ? memoryStorage() : indexedDbStorage({ name: storage, lockTimeoutMs: 2_000 }),
    handler: (message) => window.effect({ seq: message.seq, attempt: message.attempt, text: message.text() }),
    ...options,
  })
  window.client = client
  client.on('state', ({ state, error }) => void window.happened(state, error?.code ?? null))
  void client.closed.then((error) => window.happened('end', error?.code ?? null))
}`

export class BrowserDevice {
  readonly #browser: TestBrowser
  readonly #url: string
  readonly #options: PageOptions
  readonly #wantToken: ((reason: string) => Promise<string>) | null
  readonly effects: Effect[] = []
  /** States, and `end`; with the code of the error behind a colon. */
  readonly events: string[] = []
  #page: Page | null = null

  /** `url`: a page of the platform's, from which the modules are loaded. `wantToken` null: devices need no token. */
  constructor(
    browser: TestBrowser,
    url: string,
    options: PageOptions,
    wantToken: ((reason: string) => Promise<string>) | null = null,
  ) {
    this.#browser = browser
    this.#url = url
    this.#options = options
    this.#wantToken = wantToken
  }

  get page(): Page {
    if (this.#page === null) throw new Error('no page is open')
    return this.#page
  }

  /** A new page with a client in it. `storage`: the database; null: memory. */
  async open(storage: string | null = 'test'): Promise<this> {
    this.#page = await this.#browser.page(this.#url)
    await this.#page.exposeFunction('effect', (effect: Effect) => void this.effects.push(effect))
    await this.#page.exposeFunction('happened', (state: string, error: string | null) => {
      this.events.push(error === null ? state : `${state}:${error}`)
    })
    await this.#page.exposeFunction('wantToken', (reason: string) => this.#wantToken?.(reason))
    await this.start(storage)
    return this
  }

  /** The client, in a page that was loaded. */
  async start(storage: string | null = 'test'): Promise<void> {
    const renewable = this.#wantToken !== null
    const argument = { modules: '/dev/modules/sdk/browser.js', storage, renewable, options: this.#options }
    await this.page.evaluate(`(${START})(${JSON.stringify(argument)})`)
  }

  /** The page goes, at whatever moment this is, and comes again. */
  async reload(storage: string | null = 'test'): Promise<void> {
    await this.page.reload()
    await this.start(storage)
  }

  /** What an expression says in the page; `client` is the SDK's. */
  ask(expression: string): Promise<unknown> {
    return this.page.evaluate(expression)
  }

  /** The texts of the messages whose handler was run, in that order. */
  get texts(): readonly string[] {
    return this.effects.map(({ text }) => text)
  }

  describe(): string {
    const seqs = this.effects.map(({ seq, attempt }) => (attempt === 1 ? `${seq}` : `${seq}×${attempt}`))
    return `${this.effects.length} effects, ${seqs.slice(-20).join(' ')}; ${this.events.slice(-20).join(' ')}`
  }

  async until(what: string, holds: (device: this) => boolean): Promise<this> {
    try {
      await until(what, () => holds(this), PATIENCE_MS)
    } catch (error) {
      throw new Error(this.describe(), { cause: error })
    }
    return this
  }

  /** Waits for the message with this text. */
  has(text: string): Promise<this> {
    return this.until(text, ({ effects }) => effects.some((effect) => effect.text === text))
  }

  /** Waits for an event behind the first `after` ones. */
  is(event: string, after = 0): Promise<this> {
    return this.until(event, ({ events }) => events.slice(after).includes(event))
  }
}

/** What is wrong with effects that should be those of `count` messages, each once, but for at most `ends` that an end of the page cut. */
export function faultsOf(effects: readonly Effect[], count: number, ends: number): readonly string[] {
  const faults: string[] = []
  let reruns = 0
  effects.forEach(({ seq, attempt, text }, i) => {
    const before = effects[i - 1]
    if (text !== String(seq)) faults.push(`${seq} has the text ${text}`)
    if (before === undefined || seq === before.seq + 1) {
      if (seq !== (before?.seq ?? 0) + 1) faults.push(`it begins with ${seq}`)
    } else if (seq === before.seq && attempt > before.attempt) reruns++
    else faults.push(`${seq} (attempt ${attempt}) after ${before.seq}`)
  })
  if (effects.at(-1)?.seq !== count) faults.push(`it ends with ${effects.at(-1)?.seq}`)
  if (reruns > ends) faults.push(`${reruns} were run again`)
  return faults
}
