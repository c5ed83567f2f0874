// The connection is cut behind random bytes, again and again, while messages flow. The handler sees each exactly once, in order.

import t, { type Test } from 'tap'
import { fileStorage } from '../../sdk/file-storage.js'
import { startNode } from '../support/broker/node.js'
import { LONG, until } from '../support/road/wait.js'
import { CuttingProxy, type Cut } from '../support/sdk/cutting-proxy.js'
import { numbers, SdkDevice, texts } from '../support/sdk/sdk-device.js'

const CUTS = LONG ? 1_000 : 100
const MESSAGES = CUTS * 50
/** Before a cut; a welcome and its answers take some hundred. */
const DOWN_BYTES = 6_000
const UP_BYTES = 1_200

if (LONG) t.setTimeout(900_000)

const random = (below: number): number => Math.floor(Math.random() * below)
/** In one of three cuts the server learns of it when the device comes back, and in one of eight the greeting is cut already. */
function anyCut(): Cut {
  const direction = Math.random() < 0.6 ? 'down' : 'up'
  const bytes = Math.random() < 0.125 ? 300 : direction === 'down' ? DOWN_BYTES : UP_BYTES
  return { direction, bytes: 1 + random(bytes), serverKept: Math.random() < 0.33 }
}

async function cutAgainAndAgain(t: Test, scheme: 'mqtt' | 'ws', stored: boolean): Promise<void> {
  const node = await startNode(t, { inboxMax: 100_000 })
  let opened = 0
  const proxy = await CuttingProxy.start(t, scheme === 'mqtt' ? node.mqtt : node.ws, () =>
    ++opened <= CUTS ? anyCut() : null,
  )
  const device = new SdkDevice(
    t,
    {
      urls: scheme === 'mqtt' ? `mqtt://127.0.0.1:${proxy.port}` : `ws://127.0.0.1:${proxy.port}/mqtt`,
      deviceId: 'phone-1',
      token: await node.token('phone-1', 3_000),
      window: 64,
      backoff: { firstMs: 2, maxMs: 10, stableMs: 60_000 },
      ...(stored ? { storage: fileStorage({ folder: t.testdir({}), fsync: false }) } : {}),
    },
    ({ seq }) => (seq % 7 === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined),
  )
  let pushed = 0
  while (proxy.cuts < CUTS || pushed < MESSAGES) {
    // A backlog at times, and live ones at others.
    const batch = random(100)
    await node.push('phone-1', ...texts(pushed + 1, pushed + batch))
    pushed += batch
    await until(
      'the device to follow',
      () => device.handled.length >= pushed - 300,
      20_000,
      () => device.describe(),
    )
  }
  await until(
    'everything',
    async () => (await node.mailbox.info('phone-1'))?.cursor === pushed,
    20_000,
    () => device.describe(),
  )
  t.same(device.seqs, numbers(1, pushed), 'each once, in order')
  t.ok(
    device.handled.every(({ attempt }) => attempt === 1),
    'no handler was started twice',
  )
  t.same(device.gaps, [])
  t.same(device.resets, [])
  t.same(device.duplicates, [])
  t.equal(device.ended, undefined)
  const codes = [...new Set(device.errors.map(({ code }) => code))]
  t.same(
    codes.filter((code) => !['connect_failed', 'connection_lost', 'server_closed', 'ack_timeout'].includes(code)),
    [],
    'a cut is a cut: no frame was broken by it',
  )
  t.comment(`${scheme}: ${proxy.cuts} cuts in ${proxy.connections} connections, ${pushed} messages; ${codes.join(' ')}`)
  t.equal(proxy.cuts, CUTS)
}

void t.test('SDK cuts: at random bytes, over TCP, and each message is handled once, in order', (t) =>
  cutAgainAndAgain(t, 'mqtt', false),
)

void t.test('SDK cuts: the same with a storage, over WebSocket', (t) => cutAgainAndAgain(t, 'ws', true))
