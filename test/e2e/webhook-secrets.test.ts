// Webhooks used in all their ways, rightly and wrongly: their secrets are in no output but the one answer that is there to tell
// a new one, and in no file.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'
import { Receiver } from '../support/webhooks/receiver.js'
import { connectDevice, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

/** Letters that base64 has, so that it can be in a secret, too. */
const MARK = 'MaRkEdSeCrEt'
const secretOf = (name: string): string => `whsec_${`${MARK}${name}`.padEnd(32, 'A')}`
const GIVEN = secretOf('given')
const REPLACED = secretOf('replaced')
/** Some backends have a key in their URL: an administrator may read it, the log and the metrics may not tell it. */
const URL_KEY = 'key-in-the-url-of-the-receiver'

/** What was answered, but for the answers of `telling`, and the secrets that those told. */
class Caller {
  readonly outputs: string[] = []
  readonly told: string[] = []
  readonly #server: TestServer

  constructor(server: TestServer) {
    this.#server = server
  }

  async call(method: string, path: string, body?: unknown, key?: string): Promise<number> {
    const response = await this.#fetch(method, path, body, key)
    this.outputs.push([...response.headers].flat().join('\n'), await response.text())
    return response.status
  }

  /** A call whose answer is there to tell a secret. */
  async telling(method: string, path: string, body: unknown): Promise<string> {
    const answer: unknown = await (await this.#fetch(method, path, body)).json()
    const secret = typeof answer === 'object' && answer !== null && 'secret' in answer ? String(answer.secret) : ''
    this.told.push(secret)
    return secret
  }

  async #fetch(method: string, path: string, body: unknown, key?: string): Promise<Response> {
    return fetch(path.startsWith('http') ? path : this.#server.url + path, {
      method,
      headers: {
        authorization: `Bearer ${key ?? (await this.#server.apiKey())}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
  }
}

async function filesOf(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return (await Promise.all(files.map((path) => readFile(path, 'latin1')))).join('\n')
}

const bytesOf = (secret: string): string => Buffer.from(secret.slice('whsec_'.length), 'base64').toString('latin1')

function holdsNone(t: Test, what: string, text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    t.notOk(text.includes(secret.slice('whsec_'.length)), `${what}: a secret`)
    t.notOk(text.includes(bytesOf(secret)), `${what}: the bytes of a secret`)
  }
  t.equal(
    text.indexOf(MARK),
    -1,
    `${what}: ${text.slice(Math.max(0, text.indexOf(MARK) - 80), text.indexOf(MARK) + 40)}`,
  )
}

void t.test('secrets: those of webhooks are in no output, at the most talkative level, and in no file', async (t) => {
  const flags = ['--log-level', 'trace', ...WEBHOOK_FLAGS]
  const server = await TestServer.start(t, { flags })
  const receiver = await Receiver.start(t)
  const caller = new Caller(server)
  const hook = '/v1/webhooks/backend'
  const rule = { url: `${receiver.url}&k=${URL_KEY}`, events: ['message.handled', 'device.offline_with_pending'] }

  // Wrong in all ways, with a secret in it.
  for (const wrong of [
    { ...rule, secret: `whsec_${MARK}` },
    { ...rule, secret: `${MARK}-no-prefix` },
    { ...rule, secret: GIVEN, rotateSecret: true },
    { ...rule, secret: [GIVEN] },
    { ...rule, secret: GIVEN, url: 'http://10.0.0.1/' },
    { ...rule, secret: GIVEN, url: `http://user:${MARK}@127.0.0.1/` },
    { ...rule, secret: GIVEN, events: ['nothing'] },
    { ...rule, secret: GIVEN, nonsense: 1 },
    `{"secret":"${GIVEN}"`,
  ]) {
    t.equal(await caller.call('PUT', hook, wrong), 400, JSON.stringify(wrong))
  }
  t.equal(await caller.call('PUT', hook, { ...rule, secret: GIVEN }, 'no-key'), 401)

  // A secret that the server made, one that was given, one that replaced it, one that the server made in its place.
  const made = await caller.telling('PUT', hook, rule)
  t.match(made, /^whsec_/)
  t.equal(await caller.call('PUT', hook, { ...rule, secret: GIVEN }), 200)
  t.equal(await caller.call('PUT', hook, { ...rule, secret: REPLACED }), 200)
  const rotated = await caller.telling('PUT', hook, { ...rule, rotateSecret: true })
  t.match(rotated, /^whsec_/)
  t.equal(await caller.call('PUT', hook, rule), 200)
  const secrets = [made, GIVEN, REPLACED, rotated]
  receiver.secrets.push(rotated)

  // Failing attempts, then events that are taken; then a restart, which reads the secrets from the store.
  receiver.behave = (attempt) => ({ status: attempt < 3 ? 500 : 204, headers: { 'x-note': MARK } })
  const device = await connectDevice(t, server, 'phone-1')
  t.equal(await caller.call('POST', '/v1/devices/phone-1/messages', { payload: 'x', receipt: true }), 202)
  await receiver.untilTaken('message.handled', 1)
  await receiver.down()
  await device.endAsync()
  t.equal(await caller.call('POST', '/v1/devices/phone-2/messages', { payload: 'x' }), 202)
  await until('a failed attempt', () => server.child.stderr.includes('"reason":"connect"'))
  await receiver.up()
  const first = server.child
  await server.stop()
  await server.restart({ flags: [...flags] })
  await receiver.untilTaken('device.offline_with_pending', 1)
  t.same(receiver.refusals, [], 'the signatures are right')

  // Who may read webhooks is told of everything but their secrets.
  const shown = caller.outputs.length
  for (const path of [hook, '/v1/webhooks', '/v1/webhooks/other']) await caller.call('GET', path)
  t.ok(caller.outputs.slice(shown).join('').includes(URL_KEY), 'the URL is shown to who may set it')
  for (const path of ['/metrics', '/readyz?format=json', '/livez', '/startupz']) {
    await caller.call('GET', server.adminUrl + path)
  }
  const metrics = caller.outputs.at(-7) ?? ''
  t.ok(metrics.includes('postrider_webhook_sent_total 1'), 'there is something to look at')
  t.equal(await caller.call('DELETE', hook), 204)
  await server.stop()

  const logs = first.stdout + first.stderr + server.child.stdout + server.child.stderr
  t.ok(logs.includes('webhook_attempt_failed'))
  holdsNone(t, 'answers', caller.outputs.join('\n'), secrets)
  holdsNone(t, 'logs', logs, secrets)
  holdsNone(t, 'files', await filesOf(server.folder), secrets)
  t.notOk((logs + metrics).includes(URL_KEY), 'the URL of a receiver is in no log and no metric')
})
