// The page for development, as HTTP: what is served, and what is not. sdk-browser.test.ts loads it in a browser.

import { posix } from 'node:path'
import t from 'tap'
import { noChromium, TestBrowser } from '../support/chromium.js'
import { importsOf } from '../support/repository.js'
import { TestServer } from '../support/server.js'

void t.test('dev page: with tokens there is none', async (t) => {
  const server = await TestServer.start(t)
  for (const path of ['/dev', '/dev/', '/dev/server.json', '/dev/modules/sdk/browser.js']) {
    const response = await fetch(server.url + path, { redirect: 'manual' })
    t.equal(response.status, 404, path)
    t.match(await response.json(), { code: 'not_found' })
  }
})

void t.test('dev page: every module that the page loads is served, nothing of Node, and no secret', async (t) => {
  const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
  const apiKey = await server.apiKey()
  const seen = new Set<string>()
  const wanted = ['/dev/', '/dev/modules/sdk/browser.js', '/dev/server.json']
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    const response = await fetch(server.url + path)
    t.equal(response.status, 200, path)
    const text = await response.text()
    t.notOk(text.includes(apiKey), path)
    if (!path.endsWith('.js')) continue
    t.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8')
    t.equal(response.headers.get('x-content-type-options'), 'nosniff')
    for (const { specifier } of importsOf(text)) {
      t.match(specifier, /^\.\.?\//, `${path} imports ${specifier}`)
      wanted.push(posix.join(posix.dirname(path), specifier))
    }
  }
  t.ok(seen.size > 40, `${seen.size} files`)
  t.same(await (await fetch(`${server.url}/dev/server.json`)).json(), { ws: server.ports.ws, wss: null })
  t.equal((await fetch(`${server.url}/dev`)).url, `${server.url}/dev/`)
  t.match(server.child.stderr, `http://localhost:${server.ports.http}/dev/`, 'the log says where it is')
})

void t.test('dev page: no request names a file', async (t) => {
  const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
  const paths = [
    'index.html',
    'api-key',
    'modules/',
    'modules/sdk/node.js',
    'modules/sdk/file-storage.js',
    'modules/sdk/node/folder-lock.js',
    'modules/cli/main.js',
    'modules/core/config/server-options.js',
    '%2e%2e/package.json',
    'modules/..%2f..%2fpackage.json',
    'modules/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd',
    '..%5cpackage.json',
    '__proto__',
    '%00',
    'modules/sdk/browser.js/',
    'modules/sdk/browser.js%00',
  ]
  for (const path of paths) {
    const { status } = await fetch(`${server.url}/dev/${path}`)
    t.ok(status === 404 || status === 400, `${path}: ${status}`)
  }
  for (const method of ['POST', 'PUT', 'DELETE']) {
    t.equal((await fetch(`${server.url}/dev/`, { method })).status, 404, method)
  }
  const keyless = await fetch(`${server.url}/v1/devices`)
  t.equal(keyless.status, 401, 'REST still wants a key')
  const document = await (await fetch(`${server.url}/openapi.json`)).text()
  t.notMatch(document, /"\/dev["/]/)
})

void t.test('dev page: in a browser it receives, sends, and remembers', { skip: noChromium }, async (t) => {
  const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
  const browser = await TestBrowser.start(t)
  const page = await browser.page(`${server.url}/dev/?device=tablet-1`)
  const push = (payload: string): Promise<unknown> => server.rest('POST', '/v1/devices/tablet-1/messages', { payload })
  await push('<b>first</b>')
  await page.waitForSelector('li')
  t.equal(await page.textContent('#device'), 'tablet-1')
  t.equal(await page.textContent('li'), '<b>first</b>', 'as text')
  await page.fill('input[name=text]', 'to the backend')
  await page.click('button')
  // By selector: a function that waits would be evaluated in the page, which its policy forbids.
  await page.waitForSelector('#sent:text-is("stored by the server")')
  t.match(await server.rest('GET', '/v1/uplink'), {
    body: { uplink: [{ device: 'tablet-1', channel: 'chat', payload: 'to the backend' }] },
  })
  await page.reload()
  await push('second')
  await page.waitForSelector('li')
  t.equal(await page.textContent('#messages'), 'second', 'the first is not handled again')
  // The policy lets the page's own scripts run, and no other.
  const refused = await page.evaluate(`new Promise((resolve) => {
    addEventListener('securitypolicyviolation', ({ effectiveDirective }) => resolve(effectiveDirective))
    const script = document.createElement('script')
    script.textContent = 'resolve("it ran")'
    document.body.append(script)
  })`)
  t.match(String(refused), /^script-src/)
})
