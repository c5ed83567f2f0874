// The behaviours of MQTT 3.1.1 with the Mosquitto clients (C), and what a token grants, on the command line.

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import type { Acl } from '../../protocol/acl.js'
import { Child } from '../support/child.js'
import { TestServer } from '../support/server.js'

const isThere = ['mosquitto_sub', 'mosquitto_pub'].every((name) => spawnSync(name, ['--help']).error === undefined)
const needsMosquitto = {
  skip: isThere ? false : 'mosquitto_sub and mosquitto_pub are not installed (Debian: mosquitto-clients)',
}

interface Rig {
  readonly server: TestServer
  sub(this: void, id: string, ...args: readonly string[]): Child
  /** Runs mosquitto_pub to its end; its exit code. */
  pub(this: void, id: string, ...args: readonly string[]): Promise<number | null>
}

/** What it writes comes line by line, also into a pipe. */
const start = (t: Test, command: string, args: readonly string[]): Child =>
  new Child(t, 'stdbuf', ['-oL', command, ...args])

async function open(t: Test): Promise<Rig> {
  const server = await TestServer.start(t, { flags: ['--auth', 'none'] })
  const run = (command: string, id: string, args: readonly string[]): Child =>
    start(t, command, ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', id, ...args])
  return {
    server,
    sub: (id, ...args) => run('mosquitto_sub', id, ['-d', '-F', '> %t %p %q %r', ...args]),
    pub: async (id, ...args) => (await run('mosquitto_pub', id, args).exited).code,
  }
}

/** `topic payload qos retain` of each message. */
const messages = ({ stdout }: Child): string[] =>
  stdout.split('\n').flatMap((line) => (line.startsWith('> ') ? [line.slice(2)] : []))
const subscribed = (child: Child): Promise<void> =>
  child.until('the SUBACK', ({ stdout }) => stdout.includes('received SUBACK') || stdout.includes('Subscribed'))
const receives = (child: Child, count: number): Promise<void> =>
  child.until(`${count} messages`, () => messages(child).length >= count)

void t.test('pubsub mosquitto: every QoS, wildcards, overlapping filters', needsMosquitto, async (t) => {
  const { sub, pub } = await open(t)
  const all = sub('all', '-q', '2', '-t', 'house/#', '-t', 'house/+/light')
  const some = sub('some', '-q', '0', '-t', '+/kitchen/light')
  await Promise.all([subscribed(all), subscribed(some)])
  for (const qos of ['0', '1', '2']) {
    t.equal(await pub('pub', '-t', 'house/kitchen/light', '-m', `on${qos}`, '-q', qos), 0)
  }
  t.equal(await pub('pub', '-t', 'house', '-m', 'root', '-q', '1'), 0)
  await Promise.all([receives(all, 4), receives(some, 3)])
  t.same(messages(all).toSorted(), [
    'house root 1 0',
    'house/kitchen/light on0 0 0',
    'house/kitchen/light on1 1 0',
    'house/kitchen/light on2 2 0',
  ])
  t.same(
    messages(some).toSorted(),
    [0, 1, 2].map((n) => `house/kitchen/light on${n} 0 0`),
  )
})

void t.test('pubsub mosquitto: retained messages, and taken away', needsMosquitto, async (t) => {
  const { sub, pub } = await open(t)
  await pub('pub', '-t', 'state/a', '-m', 'one', '-q', '1', '-r')
  await pub('pub', '-t', 'state/b', '-m', 'two', '-q', '2', '-r')
  await pub('pub', '-t', 'state/b', '-n', '-r')
  const first = sub('first', '-q', '2', '-t', 'state/+')
  await receives(first, 1)
  await pub('pub', '-t', 'state/a', '-m', 'three', '-q', '1', '-r')
  await receives(first, 2)
  t.same(messages(first), ['state/a one 1 1', 'state/a three 1 0'])
})

void t.test('pubsub mosquitto: a session that is away, and one that is cleaned', needsMosquitto, async (t) => {
  const { sub, pub, server } = await open(t)
  const first = sub('away', '-c', '-q', '1', '-t', 'news')
  await subscribed(first)
  // Not SIGTERM: that client locks itself up when it comes while it tells of its subscription.
  await first.kill('SIGKILL')
  const lines = Array.from({ length: 150 }, (_, i) => `n${i}`)
  const bulk = new Child(
    t,
    'mosquitto_pub',
    ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', 'bulk', '-q', '1', '-t', 'news', '-l'],
    { input: `${lines.join('\n')}\n` },
  )
  t.equal((await bulk.exited).code, 0)
  await server.stop()
  await server.restart()
  const second = sub('away', '-c', '-q', '1', '-t', 'news')
  await receives(second, lines.length)
  t.same(
    messages(second),
    lines.map((line) => `news ${line} 1 0`),
    'all of them, in order, also over a restart of the server',
  )
  await second.kill('SIGKILL')
  const clean = sub('away', '-q', '1', '-t', 'other')
  await subscribed(clean)
  await clean.kill('SIGKILL')
  await pub('pub', '-t', 'news', '-m', 'nobody', '-q', '1')
  const third = sub('away', '-c', '-q', '1', '-t', 'other')
  await subscribed(third)
  await pub('pub', '-t', 'other', '-m', 'marker', '-q', '1')
  await receives(third, 1)
  t.same(messages(third), ['other marker 1 0'])
})

void t.test('pubsub mosquitto: a will when it is killed, none when it ends', needsMosquitto, async (t) => {
  const { sub, pub } = await open(t)
  const spy = sub('spy', '-q', '2', '-t', 'will/#', '-t', 'marker')
  await subscribed(spy)
  const will = (topic: string): string[] => [
    '--will-topic',
    topic,
    '--will-payload',
    'gone',
    '--will-qos',
    '1',
    '-t',
    'x',
  ]
  const polite = sub('polite', ...will('will/polite'))
  const killed = sub('killed', ...will('will/killed'))
  await Promise.all([subscribed(polite), subscribed(killed)])
  await killed.kill('SIGKILL')
  await receives(spy, 1)
  await polite.kill('SIGTERM')
  await pub('pub', '-t', 'marker', '-m', 'marker', '-q', '1')
  await receives(spy, 2)
  t.same(messages(spy), ['will/killed gone 1 0', 'marker marker 1 0'])
})

void t.test('pubsub mosquitto: UNSUBSCRIBE, and filters that are refused', needsMosquitto, async (t) => {
  const { sub, pub } = await open(t)
  const client = sub('c', '-q', '1', '-t', 'a', '-t', 'b', '-U', 'a')
  await client.until('the UNSUBACK', ({ stdout }) => stdout.includes('UNSUBACK'))
  await pub('pub', '-t', 'a', '-m', 'no', '-q', '1')
  await pub('pub', '-t', 'b', '-m', 'yes', '-q', '1')
  await receives(client, 1)
  t.same(messages(client), ['b yes 1 0'])
  const refused = sub('r', '-q', '1', '-t', '$SYS/#')
  await refused.exited
  t.match(refused.stderr, /denied/i)
  t.not(await pub('pub', '-t', '$SYS/x', '-m', 'x', '-q', '1'), 0, 'closed without a PUBACK')
})

void t.test('pubsub mosquitto: what a token grants', needsMosquitto, async (t) => {
  const server = await TestServer.start(t)
  const run = async (command: string, id: string, acl: Partial<Acl>, ...args: readonly string[]): Promise<Child> => {
    const token = await server.token(id, 600, acl)
    const who = ['-h', '127.0.0.1', '-p', String(server.ports.mqtt), '-i', id, '-u', id, '-P', token]
    return start(t, command, [...who, ...args])
  }
  const lamp = { publish: ['home/lamp/state'], subscribe: ['home/lamp/set'] }
  const home = { publish: ['home/+/set'], subscribe: ['home/#'] }
  const watch = await run('mosquitto_sub', 'home', home, '-d', '-F', '> %t %p %q %r', '-q', '1', '-t', 'home/#')
  await subscribed(watch)
  const state = await run('mosquitto_pub', 'lamp', lamp, '-t', 'home/lamp/state', '-m', 'on', '-q', '2')
  t.equal((await state.exited).code, 0)
  await receives(watch, 1)
  const forged = await run('mosquitto_pub', 'lamp', lamp, '-t', 'home/door/set', '-m', 'open', '-q', '1')
  t.not((await forged.exited).code, 0)
  const spy = await run('mosquitto_sub', 'lamp', lamp, '-q', '1', '-t', 'home/#')
  await spy.exited
  t.match(spy.stderr, /denied/i)
  const will = ['--will-topic', 'home/door/set', '--will-payload', 'open']
  const bad = await run('mosquitto_sub', 'lamp', lamp, '-q', '1', '-t', 'home/lamp/set', ...will)
  await bad.exited
  t.match(bad.stderr, /not authori[sz]ed/i, 'CONNACK 5')
  t.same(messages(watch), ['home/lamp/state on 1 0'])
})
