// A real browser for tests: Chromium as a process of the test's own, spoken to over its debugging socket.

import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type CDPSession, type Page } from 'playwright-core'
import type { Test } from 'tap'
import { Child } from './child.js'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

/** The browser's binary: CHROMIUM_BIN, else the first that is in PATH. Null: there is none. */
export function findChromium(): string | null {
  const { CHROMIUM_BIN, PATH = '' } = process.env
  if (CHROMIUM_BIN !== undefined && CHROMIUM_BIN !== '') return CHROMIUM_BIN
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)))
  return places.find((place) => existsSync(place)) ?? null
}

/** For tap: false, or why such a test is skipped. */
export const noChromium: string | false =
  findChromium() === null && 'no chromium: apt-get install chromium, or name one in CHROMIUM_BIN'

const FLAGS = [
  '--headless=new',
  '--remote-debugging-port=0',
  '--no-first-run',
  '--no-default-browser-check',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-sync',
  // Whatever the browser itself would like to ask: there is nobody but this machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  // Its sandbox wants rights that a container does not give, and refuses root.
  '--no-sandbox',
]

export class TestBrowser {
  readonly #t: Test
  readonly #profile: string
  #child: Child
  #browser: Browser

  private constructor(t: Test, profile: string, child: Child, browser: Browser) {
    this.#t = t
    this.#profile = profile
    this.#child = child
    this.#browser = browser
  }

  /** Ended, with all its processes, at the end of the test. */
  static async start(t: Test): Promise<TestBrowser> {
    const profile = await mkdtemp(join(tmpdir(), 'postrider-chromium-'))
    t.teardown(async () => {
      await endAll(profile)
      await rm(profile, { recursive: true, force: true, maxRetries: 10 })
    })
    return new TestBrowser(t, profile, ...(await launch(t, profile)))
  }

  /** What the profile has is there; it is the context of a user, and survives `kill`. */
  get context(): BrowserContext {
    const [context] = this.#browser.contexts()
    if (context === undefined) throw new Error('the browser has no context')
    return context
  }

  /** A page whose errors fail the test. */
  async page(url: string): Promise<Page> {
    const page = await this.context.newPage()
    page.on('pageerror', (error) => this.#t.fail(`an error in the page: ${error.message}`))
    await page.goto(url)
    return page
  }

  devtools(page: Page): Promise<CDPSession> {
    return this.context.newCDPSession(page)
  }

  /** As a power cut would: nothing is written any more. */
  async kill(): Promise<void> {
    await this.#child.kill('SIGKILL')
    await endAll(this.#profile)
  }

  /** The same profile again, after `kill`. */
  async restart(): Promise<void> {
    ;[this.#child, this.#browser] = await launch(this.#t, this.#profile)
  }
}

async function launch(t: Test, profile: string): Promise<[Child, Browser]> {
  const binary = findChromium()
  if (binary === null) throw new Error('no chromium')
  // The profile of a killed browser holds a lock that names its process.
  for (const name of ['SingletonLock', 'SingletonSocket', 'SingletonCookie']) {
    await rm(join(profile, name), { force: true })
  }
  const child = new Child(t, binary, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'])
  const listening = /DevTools listening on (ws:\S+)/
  await child.until('it can be spoken to', ({ stderr }) => listening.test(stderr))
  const browser = await chromium.connectOverCDP(listening.exec(child.stderr)?.[1] ?? '')
  return [child, browser]
}

/** A browser is many processes: those that name the profile are its own. */
async function endAll(profile: string): Promise<void> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const line = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '') // it has ended meanwhile
    if (!line.includes(profile)) continue
    try {
      process.kill(Number(name), 'SIGKILL')
    } catch {
      // it has ended meanwhile
    }
  }
}
