// docs/sdk.md says what the code says, and shows the files that the tests run.

import t from 'tap'
import { SDK_ERRORS } from '../../sdk/device/errors.js'
import { EventHub } from '../../sdk/device/events.js'
import { CONNECT_OPTIONS, readOptions } from '../../sdk/device/options.js'
import { PUSH_CLIENT_OPTIONS, readPushOptions } from '../../sdk/server/options.js'
import { LOCAL_CODES } from '../../sdk/server/push-error.js'
import { readRepositoryFile, repositoryFiles, sectionOf, tableRows } from '../support/repository.js'

const page = readRepositoryFile('docs/sdk.md')

void t.test('SDK page: its examples are the files that the tests run, to the letter, and all of them', async (t) => {
  const shown = [...page.matchAll(/<!-- file: (\S+) -->\n```\w+\n([\s\S]*?)```\n/g)]
  for (const [, path = '', text = ''] of shown) t.equal(text, readRepositoryFile(path), path)
  // Receivers of webhooks need no SDK: docs/webhooks.md has them.
  const examples = repositoryFiles().filter((path) => /^(?:docs\/examples\/(?!webhook-)|cli\/dev-page\/)/.test(path))
  t.same(shown.map(([, path = '']) => path).toSorted(), examples)
  const tests = ['sdk-examples', 'dev-page'].map((name) => readRepositoryFile(`test/e2e/${name}.test.ts`)).join('\n')
  for (const path of examples.filter((each) => each.startsWith('docs/'))) {
    t.ok(tests.includes(path.slice(path.lastIndexOf('/') + 1)), `a test runs ${path}`)
  }
})

const code = (cell = ''): string => cell.replaceAll('`', '')

void t.test('SDK page: every error, whether it ends the client, and what it means', async (t) => {
  const rows = tableRows(sectionOf(page, 'Errors'))
  const [device, push] = [rows.filter(({ length }) => length === 3), rows.filter(({ length }) => length === 2)]
  t.same(
    device.map(([name, terminal, title]) => [code(name), terminal === 'yes', title]),
    Object.entries(SDK_ERRORS).map(([name, { terminal, title }]) => [name, terminal, title]),
  )
  t.same(
    push.map(([name, title]) => [code(name), title]),
    Object.entries(LOCAL_CODES),
  )
})

void t.test('SDK page: every event', async (t) => {
  const hub = new EventHub()
  const names = tableRows(sectionOf(page, 'Events')).map(([name]) => code(name))
  t.equal(names.length, 7)
  for (const name of names) t.ok(hub.has(name), name)
})

/** What a row says the default is, and what it is. */
function sameDefaults(
  t: { same(found: unknown, wanted: unknown, message: string): void },
  rows: ReadonlyArray<readonly string[]>,
  defaults: ReadonlyMap<string, unknown>,
): void {
  for (const [cell, said = ''] of rows) {
    const value = defaults.get(code(cell))
    if (typeof value === 'number') t.same(said, value.toLocaleString('en'), code(cell))
    else if (typeof value === 'string' || typeof value === 'boolean') t.same(code(said), String(value), code(cell))
  }
}

/** `a.b` for the members of groups. */
const flat = (settings: object, path = ''): ReadonlyArray<readonly [string, unknown]> =>
  Object.entries(settings).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
      ? flat(value, `${path}${name}.`)
      : [[path + name, value] as const],
  )

void t.test('SDK page: every option of connect, with its default', async (t) => {
  const rows = tableRows(sectionOf(page, 'Options of connect'))
  const { urls, deviceId, token, ...settings } = readOptions({ urls: 'ws://a', deviceId: 'x', token: null }, ['ws:'])
  t.ok(urls.length === 1 && deviceId === 'x' && token === null)
  const names = rows.map(([name]) => code(name))
  t.same([...new Set(names.map((name) => name.split('.')[0] ?? ''))].toSorted(), [...CONNECT_OPTIONS].toSorted())
  const defaults = new Map(flat(settings))
  for (const name of ['retry', 'backoff', 'uplink']) {
    const members = [...defaults.keys()].filter((key) => key.startsWith(`${name}.`))
    t.same(names.filter((each) => each.startsWith(`${name}.`)).toSorted(), members.toSorted())
  }
  sameDefaults(t, rows, defaults)
})

void t.test('SDK page: every option of the server client, with its default', async (t) => {
  const rows = tableRows(sectionOf(page, 'Options of createPushClient'))
  const names = rows.map(([name]) => code(name))
  t.same([...new Set(names.map((name) => name.split('.')[0] ?? ''))].toSorted(), [...PUSH_CLIENT_OPTIONS].toSorted())
  const { http, queue } = readPushOptions({ url: 'http://a', apiKey: 'k' })
  const defaults = new Map<string, unknown>([
    ['batch.count', queue.count],
    ['batch.bytes', queue.bytes],
    ['batch.delayMs', queue.delayMs],
    ['concurrency', queue.concurrency],
    ['retry.forMs', queue.retryForMs],
    ['retry.minMs', queue.retryMinMs],
    ['retry.maxMs', queue.retryMaxMs],
    ['retry.inboxFull', queue.retryInboxFull],
    ['requestTimeoutMs', http.requestTimeoutMs],
    ['maxQueued', queue.maxQueued],
    ['maxQueuedBytes', queue.maxQueuedBytes],
  ])
  t.ok([...defaults.keys()].every((name) => names.includes(name)))
  sameDefaults(t, rows, defaults)
})
