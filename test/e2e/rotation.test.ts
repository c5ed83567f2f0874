// Every secret that several nodes share is changed while devices are connected and a backend pushes: nobody is refused, and who need
// not be is not disconnected. (In a data folder: tokens.test.ts; certificates: tls-doors.test.ts.)

import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { createPushClient } from '../../sdk/server.js'
import { noRedis, startRedis } from '../support/redis/server.js'
import { pause, until } from '../support/road/wait.js'
import { SdkDevice } from '../support/sdk/sdk-device.js'
import { TestServer } from '../support/server.js'

const skip = { skip: noRedis }
const KEYS = { old: 'the-old-key-of-the-operator-0123456789', fresh: 'the-new-key-of-the-operator-0123456789' }
const SECRETS = {
  old: 'the old token secret which has more than thirty-two bytes',
  fresh: 'the new token secret which has more than thirty-two bytes',
}
const PATIENCE_MS = 60_000

/** A folder that changes as one that a kubelet mounts: a link to a folder is replaced, and the files are links through it. */
function mountedFolder(t: Test): {
  readonly path: (name: string) => string
  write(files: Readonly<Record<string, string>>): void
} {
  const root = mkdtempSync(join(tmpdir(), 'postrider-mounted-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  let version = 0
  return {
    path: (name) => join(root, name),
    write(files) {
      const folder = `..version-${version++}`
      mkdirSync(join(root, folder))
      for (const [name, text] of Object.entries(files)) writeFileSync(join(root, folder, name), text, { mode: 0o440 })
      symlinkSync(folder, join(root, '..data_tmp'))
      renameSync(join(root, '..data_tmp'), join(root, '..data'))
      if (version > 1) return
      for (const name of Object.keys(files)) symlinkSync(join('..data', name), join(root, name))
    },
  }
}

const sign = async (secret: string, device: string): Promise<string> => {
  const tokens = createDeviceTokens({ secrets: [Buffer.from(secret)], maxTtlSeconds: 86_400, clock: systemClock })
  return (await tokens.sign(device, 3_600)).token
}

/** What a push with this key is answered. */
async function answered(server: TestServer, key: string): Promise<number> {
  const response = await fetch(`${server.url}/v1/devices/nobody`, { headers: { authorization: `Bearer ${key}` } })
  return response.status
}

/** Whether a device with a token of this secret is let in. */
async function letIn(t: Test, server: TestServer, secret: string): Promise<boolean> {
  const deviceId = `visitor-${Math.random().toString(36).slice(2)}`
  const visitor = new SdkDevice(t, { urls: server.mqttUrl, deviceId, token: await sign(secret, deviceId) })
  await until('an answer', () => visitor.client.state === 'live' || visitor.errors.length > 0, PATIENCE_MS)
  const { state } = visitor.client
  await visitor.client.close()
  return state === 'live'
}

void t.test(
  'rotation: keys and token secrets in mounted files, on nodes with a shared store: nobody is disconnected',
  skip,
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const files = mountedFolder(t)
    files.write({ 'api-key': KEYS.old, 'token-secret': SECRETS.old })
    const env = {
      POSTRIDER_API_KEY_FILE: files.path('api-key'),
      POSTRIDER_TOKEN_SECRET_FILE: files.path('token-secret'),
    }
    const start = () => TestServer.start(t, { env, flags: ['--store', redis.url] })
    const nodes = [await start(), await start()]
    const devices = await Promise.all(
      nodes.map(async ({ mqttUrl }, i) => {
        const token = await sign(SECRETS.old, `phone-${i}`)
        return new SdkDevice(t, { urls: mqttUrl, deviceId: `phone-${i}`, token })
      }),
    )
    for (const device of devices) await device.is('live')
    const all = async (what: string, holds: (node: TestServer) => Promise<boolean>): Promise<void> => {
      for (const node of nodes) await until(what, () => holds(node), PATIENCE_MS)
    }

    files.write({ 'api-key': `${KEYS.fresh},${KEYS.old}`, 'token-secret': `${SECRETS.old},${SECRETS.fresh}` })
    await all('the new key', async (node) => (await answered(node, KEYS.fresh)) === 404)
    await all('the new secret', (node) => letIn(t, node, SECRETS.fresh))
    await all('the old key too', async (node) => (await answered(node, KEYS.old)) === 404)
    await all('the old secret too', (node) => letIn(t, node, SECRETS.old))
    files.write({ 'api-key': KEYS.fresh, 'token-secret': `${SECRETS.fresh},${SECRETS.old}` })
    await all('the old key to be refused', async (node) => (await answered(node, KEYS.old)) === 401)
    files.write({ 'api-key': KEYS.fresh, 'token-secret': SECRETS.fresh })
    await all('the old secret to be refused', async (node) => !(await letIn(t, node, SECRETS.old)))
    t.ok(await letIn(t, nodes[0] ?? (await start()), SECRETS.fresh))

    const client = createPushClient({ url: nodes[0]?.url ?? '', apiKey: KEYS.fresh })
    for (const i of devices.keys()) await client.push(`phone-${i}`, 'still there')
    for (const device of devices) {
      await device.has(1)
      t.same(device.states, ['catching-up', 'live'], 'connected all the time')
    }
    for (const { child } of nodes)
      for (const secret of [...Object.values(KEYS), ...Object.values(SECRETS)]) t.notOk(child.stderr.includes(secret))
  },
)

void t.test(
  'rotation: the password of Redis: no push fails, and a device is away once, while its node is replaced',
  skip,
  async (t) => {
    const redis = await startRedis()
    t.teardown(() => redis.stop())
    const allowed = ['on', '~pr:*', '~pr-*', '&pr-bus:*', '+@all', '-@dangerous', '+info']
    await redis.admin.call('acl', 'setuser', 'postrider', '>old', ...allowed)
    const env = { POSTRIDER_API_KEY: KEYS.old, POSTRIDER_TOKEN_SECRET: SECRETS.old }
    const flags = (password: string) => [
      '--store',
      `redis://postrider:${password}@127.0.0.1:${redis.port}`,
      '--drain-delay',
      '200ms',
    ]
    const start = (password: string) => TestServer.start(t, { env, flags: flags(password) })
    const nodes = [await start('old'), await start('old')]
    const token = await sign(SECRETS.old, 'phone-1')
    const urls = nodes.map(({ mqttUrl }) => mqttUrl)
    const device = new SdkDevice(t, { urls, deviceId: 'phone-1', token })
    await device.is('live')
    const pushed = { count: 0, failures: [] as unknown[], stop: false }
    const pushing = Promise.all(
      nodes.map(async (node) => {
        const client = createPushClient({ url: node.url, apiKey: KEYS.old })
        while (!pushed.stop) {
          const number = ++pushed.count
          await client
            .push('phone-1', `${number}`, { dedupId: `${number}` })
            .catch((error: unknown) => void pushed.failures.push(error))
          await pause(10)
        }
      }),
    )
    const goesOn = async (): Promise<void> => {
      const before = pushed.count
      await until('pushes to go on', () => pushed.count >= before + 40, PATIENCE_MS)
    }
    await goesOn()
    await redis.admin.call('acl', 'setuser', 'postrider', '>fresh')
    for (const node of nodes) {
      await node.stop()
      await node.restart({ flags: flags('fresh') })
      await goesOn()
    }
    await redis.admin.call('acl', 'setuser', 'postrider', '<old')
    await goesOn()
    pushed.stop = true
    await pushing
    t.same(pushed.failures, [])
    await until(
      'all to be handled',
      () => device.handled.length >= pushed.count,
      PATIENCE_MS,
      () => device.describe(),
    )
    t.equal(new Set(device.texts).size, device.handled.length, 'none twice')
    const away = device.states.filter((state) => state === 'connecting').length
    t.ok(away <= nodes.length, `away ${away} times`)
    await t.rejects(start('old'), /the user or password is wrong|ready line/)
    for (const { child } of nodes) t.notMatch(child.stderr, /:fresh@|:old@/)
  },
)
