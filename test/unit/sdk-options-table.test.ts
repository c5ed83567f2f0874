// Every option there is, with values that it must not take: `connect`, the server client, and the calls of both.

import { inspect } from 'node:util'
import t from 'tap'
import { indexedDbStorage } from '../../sdk/browser/indexed-db-storage.js'
import { PostriderError } from '../../sdk/device/errors.js'
import { CONNECT_OPTIONS, readOptions } from '../../sdk/device/options.js'
import { fileStorage } from '../../sdk/file-storage.js'
import { createPushClient, PushError } from '../../sdk/server.js'
import { CALL_RANGES, PUSH_CLIENT_OPTIONS, readPushOptions } from '../../sdk/server/options.js'
import { ClientRig } from '../support/sdk/client-rig.js'

const DAY_MS = 86_400_000
const MAX = Number.MAX_SAFE_INTEGER

interface Rule {
  /** What the message must say would be right. */
  readonly says: RegExp
  readonly wrong: readonly unknown[]
}

const NO_NUMBERS = ['5', null, true, {}, [], Number.NaN, Infinity, 1.5, 2 ** 60, 5n, () => 5]
const NO_OBJECTS = [null, 5, 'x', true, [], () => ({})]

const integer = (min: number, max: number): Rule => ({
  says: new RegExp(`: an integer from ${min} to ${max}$`),
  wrong: [...NO_NUMBERS.filter((value) => value !== 2 ** 60 || max < 2 ** 60), min - 1, max + 1],
})
const oneOf = (...words: readonly string[]): Rule => ({
  says: new RegExp(`: one of ${words.join(', ')}$`),
  wrong: [null, 0, true, '', `${words[0]} `, {}, words],
})
const group: Rule = { says: /: an object$/, wrong: NO_OBJECTS }
const aFunction: Rule = { says: /: a function$/, wrong: [null, 5, 'x', {}, []] }
const aSignal: Rule = { says: /: an AbortSignal$/, wrong: [null, 5, 'x', {}, new AbortController()] }

const CONNECT: Readonly<Record<string, Rule>> = {
  urls: { says: /: (?:a URL|one of|at least one|it names|without)/, wrong: [undefined, null, 5, [], '', 'x', [null]] },
  deviceId: { says: /: a device id is/, wrong: [undefined, null, 5, '', '.', '..', 'a/b', 'x'.repeat(129), {}, ['a']] },
  token: { says: /: (?:a string that is not empty|this or getToken is needed)/, wrong: [undefined, '', 5, {}, []] },
  getToken: aFunction,
  storage: {
    says: /: an object with load, write and close$/,
    wrong: [null, 5, 'x', {}, [], { load: () => new Map(), write: () => undefined }, { load: 1, write: 2, close: 3 }],
  },
  handler: aFunction,
  ack: oneOf('auto', 'manual'),
  concurrency: integer(1, 1_000_000),
  retry: group,
  'retry.attempts': integer(1, 1_000_000),
  'retry.minMs': integer(0, DAY_MS),
  'retry.maxMs': { ...integer(0, DAY_MS), says: /: an integer from \d+ to 86400000$/ },
  poison: oneOf('stop', 'skip', 'park'),
  parkedMax: integer(0, 1_000_000),
  window: integer(1, 1_000_000),
  maxFrameBytes: { ...integer(16_384, MAX), says: /: an integer from 16384 to \d+$/ },
  maxMessageBytes: { ...integer(1, MAX), says: /: an integer from \d+ to \d+$/ },
  keepAliveSeconds: integer(1, 65_535),
  connectTimeoutMs: integer(1, DAY_MS),
  pingTimeoutMs: integer(1, DAY_MS),
  ackTimeoutMs: integer(1, DAY_MS),
  tokenTimeoutMs: integer(1, DAY_MS),
  closeTimeoutMs: integer(1, DAY_MS),
  backoff: group,
  'backoff.firstMs': integer(0, DAY_MS),
  'backoff.maxMs': { ...integer(0, DAY_MS), says: /: an integer from \d+ to 86400000$/ },
  'backoff.stableMs': integer(0, DAY_MS),
  uplink: group,
  'uplink.max': integer(1, 1_000_000),
  'uplink.maxBytes': { ...integer(1, MAX), says: /: an integer from \d+ to \d+$/ },
  'uplink.maxPayloadBytes': { ...integer(1, MAX), says: /: an integer from 1 to \d+$/ },
  'uplink.overflow': oneOf('reject', 'drop-oldest'),
  signal: aSignal,
}

const SERVER: Readonly<Record<string, Rule>> = {
  url: {
    says: /: (?:a URL as a string|http:\/\/ or https:\/\/|without)/,
    wrong: [undefined, null, 5, '', 'x', 'ftp://a', 'http://u:p@a', 'http://a/?b', 'http://a/#b', new URL('http://a')],
  },
  apiKey: { says: /: a string of visible ASCII/, wrong: [undefined, null, '', 5, 'a b', 'ä', 'a\n', {}] },
  batch: group,
  'batch.count': integer(1, 1_000),
  'batch.bytes': integer(1, MAX),
  'batch.delayMs': integer(0, DAY_MS),
  concurrency: integer(1, 1_000),
  retry: group,
  'retry.forMs': integer(0, DAY_MS),
  'retry.minMs': integer(1, DAY_MS),
  'retry.maxMs': { ...integer(1, DAY_MS), says: /: an integer from \d+ to 86400000$/ },
  'retry.inboxFull': { says: /: true or false$/, wrong: [null, 0, 1, 'true', {}] },
  requestTimeoutMs: integer(1, DAY_MS),
  maxQueued: integer(1, MAX),
  maxQueuedBytes: integer(1, MAX),
  fetch: aFunction,
}

/** Options with the value at its path: `retry.attempts` is a member of a group. */
function withValue(good: object, path: string, value: unknown): object {
  const [name = '', member] = path.split('.')
  return { ...good, [name]: member === undefined ? value : { [member]: value } }
}

const show = (value: unknown): string => inspect(value, { breakLength: Infinity })

/** The error of reading, or null. */
function thrown(read: () => unknown): unknown {
  try {
    read()
    return null
  } catch (error) {
    return error
  }
}

const GOOD_DEVICE = { urls: 'ws://a', deviceId: 'phone-1', token: null }
const GOOD_SERVER = { url: 'http://a', apiKey: 'k' }

void t.test('SDK options: the tables here have every option', async (t) => {
  const top = (table: object): string[] => Object.keys(table).filter((path) => !path.includes('.'))
  t.same(top(CONNECT).toSorted(), [...CONNECT_OPTIONS].toSorted())
  t.same(top(SERVER).toSorted(), [...PUSH_CLIENT_OPTIONS].toSorted())
  for (const [table, read] of [
    [CONNECT, () => readOptions(GOOD_DEVICE, ['ws:'])],
    [SERVER, () => readPushOptions(GOOD_SERVER).queue],
  ] as const) {
    t.equal(thrown(read), null, 'the good ones are taken')
    t.ok(Object.values(table).every(({ wrong }) => wrong.length > 4))
  }
  // The members of a group are those that its defaults have.
  const { retry, backoff, uplink } = readOptions(GOOD_DEVICE, ['ws:'])
  const members = Object.entries({ retry, backoff, uplink }).flatMap(([name, value]) =>
    Object.keys(value).map((member) => `${name}.${member}`),
  )
  t.same(
    Object.keys(CONNECT)
      .filter((path) => path.includes('.'))
      .toSorted(),
    members.toSorted(),
  )
})

for (const [path, { says, wrong }] of Object.entries(CONNECT)) {
  void t.test(`SDK options: connect refuses a wrong ${path}, and says what would be right`, async (t) => {
    for (const value of wrong) {
      const good = path === 'getToken' ? { urls: 'ws://a', deviceId: 'phone-1' } : GOOD_DEVICE
      const error = thrown(() => readOptions(withValue(good, path, value), ['ws:']))
      t.ok(error instanceof PostriderError && error.code === 'bad_option', show(value))
      t.match(String(error), new RegExp(`: ${path.replace('.', '\\.')}(?:\\[\\d+\\])?: `), 'it names the option')
      t.match(String(error), says, show(value))
    }
  })
}

for (const [path, { says, wrong }] of Object.entries(SERVER)) {
  void t.test(`SDK options: the server client refuses a wrong ${path}, and says what would be right`, async (t) => {
    for (const value of wrong) {
      const error = thrown(() => readPushOptions(withValue(GOOD_SERVER, path, value)))
      t.ok(error instanceof PushError && error.code === 'bad_option', show(value))
      t.match(String(error), `${path}: `, 'it names the option')
      t.match(String(error), says, show(value))
    }
  })
}

void t.test('SDK options: a name that does not exist is refused, in groups too', async (t) => {
  for (const [read, path] of [
    [() => readOptions({ ...GOOD_DEVICE, retries: 5 }, ['ws:']), 'retries'],
    [() => readOptions({ ...GOOD_DEVICE, uplink: { maximum: 5 } }, ['ws:']), 'uplink.maximum'],
    [() => readPushOptions({ ...GOOD_SERVER, key: 'x' }), 'key'],
    [() => readPushOptions({ ...GOOD_SERVER, batch: { size: 5 } }), 'batch.size'],
  ] as const) {
    t.match(String(thrown(read)), `${path}: there is no such option`)
  }
})

void t.test('SDK options: the calls of the server client refuse what they cannot use', async (t) => {
  const client = createPushClient({ ...GOOD_SERVER, fetch: () => Promise.reject(new Error('nothing is asked')) })
  const place = { device: 'phone-1', seq: 1, epoch: 'e' }
  const calls: Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>> = {
    push: (options) => Reflect.apply(client.push.bind(client), null, ['phone-1', 'x', options]),
    pushMany: (options) => Reflect.apply(client.pushMany.bind(client), null, [[], options]),
    device: (options) => Reflect.apply(client.device.bind(client), null, ['phone-1', options]),
    devices: (options) => Reflect.apply(client.devices.bind(client), null, [options]),
    pending: (options) => Reflect.apply(client.pending.bind(client), null, ['phone-1', options]),
    state: (options) => Reflect.apply(client.state.bind(client), null, [place, options]),
    cancel: (options) => Reflect.apply(client.cancel.bind(client), null, [place, options]),
    token: (options) => Reflect.apply(client.token.bind(client), null, ['phone-1', options]),
    removeDevice: (options) => Reflect.apply(client.removeDevice.bind(client), null, ['phone-1', options]),
    uplink: (options) => Reflect.apply(client.uplink.bind(client), null, [options]).next(),
    close: (options) => Reflect.apply(client.close.bind(client), null, [options]),
  }
  for (const [name, call] of Object.entries(calls)) {
    await t.rejects(call(null), { code: 'bad_option', message: /options: an object/ }, `${name}(null)`)
    for (const signal of aSignal.wrong) {
      await t.rejects(call({ signal }), { code: 'bad_option', message: /signal: an AbortSignal/ }, name)
    }
  }
  const ranged = [
    ['devices', 'limit'],
    ['pending', 'limit'],
    ['uplink', 'limit'],
    ['uplink', 'pollMs'],
    ['token', 'ttl'],
  ] as const
  for (const [name, option] of ranged) {
    const [min, max] = CALL_RANGES[option]
    for (const value of integer(min, max).wrong) {
      const message = new RegExp(`${option}: an integer from ${min} to ${max}$`)
      await t.rejects(
        calls[name]?.({ [option]: value }) ?? Promise.resolve(),
        { code: 'bad_option', message },
        `${name} ${show(value)}`,
      )
    }
  }
  const push = (...args: readonly unknown[]): Promise<unknown> => Reflect.apply(client.push.bind(client), null, args)
  for (const device of [undefined, null, 5, '', 'a/b', '..']) {
    await t.rejects(push(device, 'x'), { code: 'bad_option', message: /device: a device id is/ })
    await t.rejects(Reflect.apply(client.device.bind(client), null, [device]), { code: 'bad_option' })
  }
  for (const payload of [undefined, () => 5, Symbol('x'), 5n]) {
    await t.rejects(push('phone-1', payload), { code: 'bad_option', message: /payload: / })
  }
  await t.rejects(push('phone-1', 'x', { dedupID: 'x' }), { code: 'bad_option', message: /dedupID: there is no such/ })
  await t.rejects(push('phone-1', 'x', { dedupId: '' }), { code: 'bad_option', message: /dedupId: a string/ })
  await t.rejects(push('phone-1', 'x', { attributes: 5 }), { code: 'bad_option', message: /attributes: an object/ })
  for (const items of [null, undefined, 5, {}]) {
    const many = Reflect.apply(client.pushMany.bind(client), null, [items])
    await t.rejects(many, { code: 'bad_option', message: /items: an array/ })
  }
  for (const wrong of [
    { ...place, seq: 0 },
    { ...place, seq: '1' },
    { ...place, epoch: '' },
    { seq: 1, epoch: 'e' },
  ]) {
    await t.rejects(Reflect.apply(client.state.bind(client), null, [wrong]), { code: 'bad_option' })
  }
  t.equal(client.waiting, 0, 'nothing was queued')
})

void t.test('SDK options: the calls of a device refuse what they cannot use', async (t) => {
  const { client } = await new ClientRig().live()
  const send = (...args: readonly unknown[]): Promise<unknown> => Reflect.apply(client.send.bind(client), null, args)
  for (const channel of [undefined, null, 5, '', '/a', 'a/+', '#', 'a\0', 'x'.repeat(1_025)]) {
    await t.rejects(send(channel, 'x'), { code: 'bad_option', message: /channel: / }, show(channel))
  }
  for (const id of [null, 5, '', 'x'.repeat(257)]) {
    await t.rejects(send('c', 'x', { id }), { code: 'bad_option', message: /id: a string of 1 to 256/ }, show(id))
  }
  for (const contentType of [null, 5, '', 'x'.repeat(256)]) {
    await t.rejects(send('c', 'x', { contentType }), { code: 'bad_option', message: /contentType: / })
  }
  for (const payload of [undefined, () => 5, Symbol('x'), 5n]) {
    await t.rejects(send('c', payload), { code: 'bad_option', message: /payload: / })
  }
  for (const signal of aSignal.wrong) {
    await t.rejects(send('c', 'x', { signal }), { code: 'bad_option', message: /signal: an AbortSignal/ })
  }
  for (const options of NO_OBJECTS.filter((value) => typeof value !== 'function'))
    await t.rejects(send('c', 'x', options), { code: 'bad_option' }, show(options))
  await t.rejects(send('c', 'x', { ID: 'x' }), { code: 'bad_option', message: /ID: there is no such option/ })
  t.equal(client.uplinkWaiting, 0, 'nothing was queued')
  await t.rejects(Reflect.apply(client.retryParked.bind(client), null, ['key', 5]), { code: 'bad_option' })
})

void t.test('SDK options: the storages refuse wrong ones', async (t) => {
  const tables: ReadonlyArray<readonly [(options: object) => unknown, object, Readonly<Record<string, Rule>>]> = [
    [
      (options) => Reflect.apply(fileStorage, null, [options]),
      { folder: 'x' },
      {
        folder: { says: /: the path of a folder$/, wrong: [undefined, null, 5, '', {}] },
        fsync: { says: /: true or false$/, wrong: [null, 0, 'true', {}] },
        lockTimeoutMs: {
          says: /: an integer from 0$/,
          wrong: [...NO_NUMBERS.filter((value) => value !== 2 ** 60), -1],
        },
      },
    ],
    [
      (options) => Reflect.apply(indexedDbStorage, null, [options]),
      {},
      {
        name: { says: /: a string that is not empty$/, wrong: [null, 5, '', {}] },
        durability: oneOf('strict', 'relaxed'),
        lockTimeoutMs: {
          says: /: an integer from 0$/,
          wrong: [...NO_NUMBERS.filter((value) => value !== 2 ** 60), -1],
        },
      },
    ],
  ]
  for (const [make, good, table] of tables) {
    for (const [name, { says, wrong }] of Object.entries(table)) {
      for (const value of wrong) {
        const error = thrown(() => make({ ...good, [name]: value }))
        t.match(error, { code: 'bad_option' }, `${name} ${show(value)}`)
        t.match(String(error), `${name}: `)
        t.match(String(error), says)
      }
    }
  }
})
