// The examples of docs/sdk.md, run as they are. The browser page is the one that the server has itself: see dev-page.test.ts.

import { createServer } from 'node:http'
import { join } from 'node:path'
import { build } from 'esbuild'
import t from 'tap'
import { createPushClient } from '../../sdk/server.js'
import { Child } from '../support/child.js'
import { noChromium, TestBrowser } from '../support/chromium.js'
import { repositoryRoot } from '../support/repository.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const example = (name: string): string => join(repositoryRoot, 'docs', 'examples', name)

void t.test('SDK examples: the device in Node', async (t) => {
  const server = await TestServer.start(t)
  const backend = createPushClient({ url: server.url, apiKey: await server.apiKey() })
  const env = {
    DEVICE: 'phone-1',
    TOKEN: await server.token('phone-1'),
    SERVER: server.mqttUrl,
    MEMORY: join(t.testdir({}), 'memory'),
  }
  const start = (): Child => new Child(t, process.execPath, [example('node-device.js')], { env })
  const { epoch } = await backend.push('phone-1', 'one')
  const first = start()
  await first.until('the message', ({ stdout }) => stdout === `d:phone-1/${epoch}/1: one\n`)
  await first.until('the uplink', ({ stderr }) => stderr.includes('the backend can read it'))
  await first.until('live', ({ stderr }) => /^live/m.test(stderr))
  t.same(await first.kill('SIGTERM'), { code: 0, signal: null })
  await backend.push('phone-1', 'two')
  const second = start()
  await second.until('the next', ({ stdout }) => stdout === `d:phone-1/${epoch}/2: two\n`)
  for await (const { channel, payload } of backend.uplink()) {
    t.equal(channel, 'status')
    t.same(payload, { started: true })
  }
  await backend.removeDevice('phone-1')
  t.same(await second.exited, { code: 1, signal: null })
  t.match(second.stderr, /it ended: revoked/)
})

void t.test('SDK examples: the backend in Node', async (t) => {
  const server = await TestServer.start(t)
  const env = { API_KEY: await server.apiKey(), SERVER: server.url, PORT: '0' }
  const start = (): Child => new Child(t, process.execPath, [example('node-backend.js')], { env })
  const first = start()
  await first.until('the state', ({ stdout }) => stdout.includes('order 17 is queued'))
  t.match(first.stdout, /^order 17: seq 1\nstored as 2\nstored as 3\nrefused: bad_option\norder 17 is queued$/m)

  const port = /tokens at (\d+)/.exec(first.stdout)?.[1] ?? ''
  const token = await (await fetch(`http://127.0.0.1:${port}/device-token`)).text()
  t.equal((await fetch(`http://127.0.0.1:${port}/other`)).status, 404)
  const device = new Child(t, process.execPath, [example('node-device.js')], {
    env: { DEVICE: 'phone-1', TOKEN: token, SERVER: server.mqttUrl, MEMORY: join(t.testdir({}), 'memory') },
  })
  await device.until('the messages', ({ stdout }) => stdout.split('\n').length === 4)
  t.match(device.stdout, /\/1: \{"order":17,"state":"shipped"\}\n.*\/2: one\n.*\/3: two\n$/)
  await first.until('the uplink', ({ stdout }) => stdout.includes('phone-1 status: {"started":true}'))
  t.same(await first.kill('SIGTERM'), { code: 0, signal: null })
  // The device acknowledges a little after it has printed.
  const backend = createPushClient({ url: server.url, apiKey: env.API_KEY })
  const { epoch } = await backend.push('phone-1', 'four')
  const order = { device: 'phone-1', epoch, seq: 1 }
  await until('the order to be handled', async () => (await backend.state(order)).state === 'handled')

  const again = start()
  await again.until('the state', ({ stdout }) => stdout.includes('order 17 is'))
  t.match(again.stdout, /order 17: seq 1, stored before\nstored as 2\nstored as 3\n.*\norder 17 is handled/)
})

const PAGE = `<!doctype html><meta charset="utf-8"><title>React</title><div id="root"></div><script src="/app.js"></script>`

/** The component on a page, as an app would have it: in StrictMode, which mounts everything twice. */
const APP = (url: string): string => `
  import { StrictMode, useState } from 'react'
  import { createRoot } from 'react-dom/client'
  import { Inbox } from './react-inbox.jsx'
  function App() {
    const [there, show] = useState(true)
    return <><button id="toggle" onClick={() => show(!there)} />{there && <Inbox url="${url}" deviceId="phone-1" />}</>
  }
  createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>)
`

void t.test('SDK examples: the React hook, rendered in a browser', { skip: noChromium }, async (t) => {
  const server = await TestServer.start(t)
  const backend = createPushClient({ url: server.url, apiKey: await server.apiKey() })
  const { outputFiles } = await build({
    stdin: { contents: APP(server.wsUrl), resolveDir: join(repositoryRoot, 'docs', 'examples'), loader: 'jsx' },
    bundle: true,
    format: 'esm',
    platform: 'browser',
    jsx: 'automatic',
    jsxDev: true,
    define: { 'process.env.NODE_ENV': '"development"' },
    write: false,
    logLevel: 'silent',
  })
  const script = outputFiles[0]?.text ?? ''
  let given = 0
  const app = createServer((request, response) => {
    if (request.url === '/device-token') {
      given++
      void server.token('phone-1').then((token) => response.end(token))
    } else if (request.url === '/app.js') response.setHeader('content-type', 'text/javascript').end(script)
    else response.setHeader('content-type', 'text/html').end(PAGE)
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    app.close()
    app.closeAllConnections()
  })
  const address = app.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0

  const browser = await TestBrowser.start(t)
  const page = await browser.page(`http://127.0.0.1:${port}/`)
  const errors: string[] = []
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  const list = (): Promise<string> =>
    page.evaluate(`[...document.querySelectorAll('li')].map((li) => li.textContent).join()`)
  const shows = (text: string): Promise<unknown> =>
    page.waitForFunction(`[...document.querySelectorAll('li')].map((li) => li.textContent).join() === '${text}'`)
  const stateIs = (state: string): Promise<unknown> =>
    page.waitForFunction(`document.querySelector('.state')?.textContent === '${state}'`)

  await stateIs('live')
  await backend.push('phone-1', 'one')
  await backend.push('phone-1', 'two')
  await shows('one,two')
  await page.click('text=Mark as read')
  for await (const { payload } of backend.uplink({ pollMs: 50, signal: AbortSignal.timeout(10_000) })) {
    t.same(payload, { count: 2 })
    break
  }

  await page.click('#toggle')
  await page.waitForFunction(`document.querySelector('.state') === null`)
  await backend.push('phone-1', 'three')
  t.equal(await list(), '')
  await page.click('#toggle')
  await shows('one,two,three')

  await page.reload()
  await stateIs('live')
  t.equal(await list(), 'one,two,three', 'each once')
  await server.kill('SIGKILL')
  await page.waitForFunction(`document.querySelector('.state').textContent.startsWith('waiting: ')`)
  await server.restart()
  await backend.push('phone-1', 'four')
  await shows('one,two,three,four')
  t.same(
    errors.filter((text) => /warning|react/i.test(text)),
    [],
    'React has nothing to say',
  )
  t.ok(given >= 3, `${given} tokens`)
})
