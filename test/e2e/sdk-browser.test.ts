// The SDK in a real browser: Debian's chromium, headless, over WebSocket, with a page and modules that the server itself serves
// in development.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readDevFiles } from '../../cli/compose-dev-page.js'
import { createPushClient, type PushClient } from '../../sdk/server.js'
import { until } from '../support/broker/node.js'
import { noChromium, TestBrowser } from '../support/chromium.js'
import { repositoryRoot } from '../support/repository.js'
import { BrowserDevice, faultsOf, type PageOptions } from '../support/sdk/browser-device.js'
import { texts } from '../support/sdk/sdk-device.js'
import { TestServer } from '../support/server.js'

const LONG = process.env['CI_LONG'] === '1'
const NEEDS = { skip: noChromium }
if (LONG) t.setTimeout(900_000)

interface Rig {
  readonly server: TestServer
  readonly browser: TestBrowser
  readonly backend: PushClient
  readonly device: (options?: PageOptions) => BrowserDevice
}

async function rig(t: Test): Promise<Rig> {
  const server = await TestServer.start(t, { flags: ['--auth', 'none', '--inbox-max', '20000'] })
  const browser = await TestBrowser.start(t)
  const backend = createPushClient({ url: server.url, apiKey: await server.apiKey() })
  const preset = { urls: server.wsUrl, deviceId: 'phone-1', backoff: { firstMs: 100, maxMs: 500 } }
  const device = (options: PageOptions = {}): BrowserDevice =>
    new BrowserDevice(browser, `${server.url}/dev/`, { ...preset, ...options })
  return { server, browser, backend, device }
}

/** Messages with their numbers as texts, one request after the other. */
async function push(backend: PushClient, from: number, to: number): Promise<void> {
  for (const payload of texts(from, to)) await backend.push('phone-1', payload, { dedupId: payload })
}

async function pushAtOnce(backend: PushClient, from: number, to: number): Promise<void> {
  await Promise.all(texts(from, to).map((payload) => backend.push('phone-1', payload, { dedupId: payload })))
}

/** The backend sees the device as gone, with everything handled. */
async function handled(backend: PushClient, count: number): Promise<void> {
  await until(`${count} handled`, async () => {
    const { online, cursor, pending } = await backend.device('phone-1')
    return !online && cursor === count && pending === 0
  })
}

void t.test('SDK browser: what waited and what comes, in order, and the backend sees it handled', NEEDS, async (t) => {
  const { backend, device } = await rig(t)
  await pushAtOnce(backend, 1, 500)
  const phone = await device().open()
  await push(backend, 501, 520)
  await phone.has('520')
  t.same(faultsOf(phone.effects, 520, 0), [])
  await phone.is('live')
  t.same(phone.events, ['catching-up', 'live'])
  await phone.ask('client.close()')
  t.same(phone.events.slice(2), ['closed', 'end'])
  await handled(backend, 520)
})

void t.test(
  'SDK browser: it survives restarts of the server, killed in the middle of the traffic',
  NEEDS,
  async (t) => {
    const { server, backend, device } = await rig(t)
    const phone = await device().open()
    const rounds = LONG ? 20 : 3
    for (let round = 0; round < rounds; round++) {
      const from = round * 300
      await pushAtOnce(backend, from + 1, from + 200)
      // Some of them are on their way, some are handled.
      await phone.has(String(from + 50))
      await server.kill('SIGKILL')
      const { events } = phone
      const seen = events.length
      await server.restart()
      await pushAtOnce(backend, from + 201, from + 300)
      await phone.is('live', seen)
      await phone.has(String(from + 300))
    }
    t.same(faultsOf(phone.effects, rounds * 300, 0), [])
    t.ok(phone.events.filter((event) => event === 'waiting:connection_lost').length >= rounds, 'it was seen')
  },
)

const OFFLINE = { latency: 0, downloadThroughput: -1, uploadThroughput: -1 }

void t.test(
  'SDK browser: offline and online again: found out at once, nothing lost, uplinks wait',
  NEEDS,
  async (t) => {
    const { browser, backend, device } = await rig(t)
    // Only the browser's word brings it back before the test is over.
    const phone = await device({ backoff: { firstMs: 600_000, maxMs: 600_000 }, pingTimeoutMs: 700 }).open()
    await push(backend, 1, 3)
    await phone.has('3')
    const network = await browser.devtools(phone.page)
    await network.send('Network.enable')
    const emulate = (offline: boolean): Promise<unknown> =>
      network.send('Network.emulateNetworkConditions', { ...OFFLINE, offline })

    for (let round = 1; round <= (LONG ? 10 : 2); round++) {
      const seen = phone.events.length
      await emulate(true)
      t.equal(await phone.ask('navigator.onLine'), false)
      // A live connection may outlive the word: the ping decides.
      await phone.until('it has noticed', ({ events }) =>
        events.slice(seen).some((event) => event.startsWith('waiting:')),
      )
      await push(backend, round * 10, round * 10 + 5)
      await phone.ask(`void client.send('notes', 'round ${round}').then(() => (window.stored = ${round}))`)
      t.equal(await phone.ask('client.uplinkWaiting'), 1)
      const from = performance.now()
      await emulate(false)
      await phone.has(String(round * 10 + 5))
      t.ok(performance.now() - from < 15_000, 'without the delay')
      // Asked from here: the page's policy lets nothing in it be evaluated.
      await until('the uplink is stored', async () => (await phone.ask('window.stored')) === round)
    }
    const sent: unknown[] = []
    for await (const { payload } of backend.uplink()) sent.push(payload)
    t.equal(new Set(sent).size, sent.length, 'each is there once')
    t.ok(sent.includes('round 1') && sent.includes('round 2'))
    const numbers = phone.effects.map(({ text }) => Number(text))
    t.same(
      numbers,
      [...new Set(numbers)].toSorted((a, b) => a - b),
      'in order, each once',
    )
  },
)

void t.test(
  'SDK browser: its cursor is in IndexedDB: a reload handles nothing twice that was recorded',
  NEEDS,
  async (t) => {
    const { backend, device } = await rig(t)
    const phone = await device().open()
    const reloads = LONG ? 50 : 5
    const count = reloads * 60
    const pushing = pushAtOnce(backend, 1, count)
    for (let i = 1; i <= reloads; i++) {
      await phone.has(String(i * 40))
      await phone.reload()
    }
    await pushing
    await phone.has(String(count))
    t.same(faultsOf(phone.effects, count, reloads), [])

    // In quiet: nothing at all is handled again, and nothing is sent again.
    await phone.ask('client.close()')
    const { length } = phone.effects
    await phone.reload()
    await phone.until('live', ({ events }) => events.at(-1) === 'live')
    t.equal(phone.effects.length, length)
    await phone.ask('client.close()')
    await handled(backend, count)
  },
)

void t.test('SDK browser: the browser killed at any moment: recorded stays recorded', NEEDS, async (t) => {
  const { browser, backend, device } = await rig(t)
  const phone = device()
  const kills = LONG ? 20 : 3
  const count = kills * 60
  const pushing = pushAtOnce(backend, 1, count)
  await phone.open()
  for (let i = 1; i <= kills; i++) {
    await phone.has(String(i * 40))
    await browser.kill()
    await browser.restart()
    await phone.open()
  }
  await pushing
  await phone.has(String(count))
  t.same(faultsOf(phone.effects, count, kills), [])
})

void t.test(
  'SDK browser: a second tab with the same storage is told, and may take its turn later',
  NEEDS,
  async (t) => {
    const { backend, device } = await rig(t)
    const first = await device().open()
    await first.is('live')
    const second = await device().open()
    await second.is('end:storage_in_use')
    await push(backend, 1, 2)
    await first.has('2')
    t.same(second.effects, [])
    // A tab that ends between handling and recording leaves the message to the next one.
    await until('it to be recorded', async () => (await backend.device('phone-1')).pending === 0)
    await first.page.close()
    await second.start()
    await push(backend, 3, 4)
    await second.has('4')
    t.same(second.texts, ['3', '4'], 'it goes on where the first one was')
  },
)

void t.test(
  'SDK browser: with tokens: one that ran out is renewed, a refused one and a revoked device are told',
  NEEDS,
  async (t) => {
    const server = await TestServer.start(t)
    const browser = await TestBrowser.start(t)
    t.equal((await fetch(`${server.url}/dev/`)).status, 404, 'the platform serves no page here')
    // So another server does, as in production.
    const build = join(repositoryRoot, 'cli', 'dist')
    const files = await readDevFiles({ build, page: join(repositoryRoot, 'cli', 'dev-page', 'index.html') })
    const pages = createServer((request, response) => {
      const file = files.get((request.url ?? '').replace('/dev/', ''))
      if (file === undefined) response.writeHead(request.url === '/' ? 200 : 404, { 'content-type': 'text/html' }).end()
      else response.writeHead(200, { 'content-type': file.type }).end(file.body)
    })
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      pages.close()
      pages.closeAllConnections()
    })
    const reasons: string[] = []
    const address: string | AddressInfo | null = pages.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const phone = new BrowserDevice(
      browser,
      `http://127.0.0.1:${port}/`,
      { urls: server.wsUrl, deviceId: 'phone-1' },
      async (reason) => {
        reasons.push(reason)
        return server.token('phone-1', reason === 'first' ? 3 : 3_600)
      },
    )
    await phone.open()
    await phone.is('live')
    await phone.until('another token', () => reasons.length === 2)
    t.same(reasons, ['first', 'expiring'])
    const backend = createPushClient({ url: server.url, apiKey: await server.apiKey() })
    await backend.push('phone-1', 'hello')
    await phone.has('hello')
    await backend.removeDevice('phone-1')
    await phone.is('end:revoked')

    const wrong = new BrowserDevice(
      browser,
      `http://127.0.0.1:${port}/`,
      { urls: server.wsUrl, deviceId: 'phone-2' },
      () => server.token('phone-1'),
    )
    await wrong.open('other')
    await wrong.is('end:forbidden')
  },
)
