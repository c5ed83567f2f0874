// Clocks that jump. The wall clock of a device may be anything; its monotonic one stands still or leaps while the machine sleeps.

import t, { type Test } from 'tap'
import { systemClock } from '../../sdk/device/system-clock.js'
import { readRetryAfter } from '../../sdk/server/http-call.js'
import { createPushClient } from '../../sdk/server.js'
import { ClientRig } from '../support/sdk/client-rig.js'
import { settle } from '../support/sdk/handling-rig.js'
import { readRepositoryFile, repositoryFiles } from '../support/repository.js'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** The wall clock says something else from now on. */
function setWallClock(t: Test, offsetMs: number): void {
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() + offsetMs
}

void t.test('SDK clock: what a device runs never looks at the wall clock', async (t) => {
  const files = repositoryFiles().filter((path) => /^(?:sdk\/(?:device|browser|node)|protocol)\/.*\.ts$/.test(path))
  t.ok(files.length > 30, 'there are files to look at')
  t.same(
    files.filter((path) => /\bDate\b/.test(readRepositoryFile(path).replace(/\/\/.*|\/\*[\s\S]*?\*\//g, ''))),
    [],
  )
})

void t.test(
  'SDK clock: the wall clock jumps forwards and backwards, and no timer or time of the SDK does',
  async (t) => {
    for (const offset of [YEAR_MS, -YEAR_MS, -60 * YEAR_MS]) {
      setWallClock(t, offset)
      const from = systemClock.now()
      const took = await new Promise<number>((resolve) => {
        systemClock.after(20, () => resolve(systemClock.now() - from))
      })
      t.ok(took >= 19 && took < 5_000, `${took} ms`)
    }
  },
)

/** A sleep of the machine: time passed, no timer ran, and all that are due run at once when it wakes. */
async function sleep(rig: ClientRig, ms: number): Promise<void> {
  await settle()
  rig.world.clock.jump(ms)
  await settle()
}

void t.test('SDK clock: after a sleep it asks at once whether the connection still stands', async (t) => {
  const rig = await new ClientRig().live()
  rig.world.now.data(0, [1])
  await rig.advance(300)
  await sleep(rig, 8 * HOUR_MS)
  t.equal(rig.world.now.count('pingreq'), 1)
  await rig.advance(10_000)
  t.equal(rig.client.state, 'live', 'the server has answered')
  t.equal(rig.world.connections.length, 1)

  rig.world.now.answers = false
  await sleep(rig, 8 * HOUR_MS)
  await rig.advance(10_000)
  t.equal(rig.client.state, 'waiting', 'nobody was there any more')
  t.equal(rig.errors.at(-1)?.code, 'ping_timeout')
  await rig.reconnects()
  await rig.live(1, 2)
  rig.world.now.data(1, [2])
  await settle()
  t.same(rig.handled, [1, 2])
})

void t.test(
  'SDK clock: a sleep in any state of the connection ends in another attempt, and loses nothing',
  async (t) => {
    const moments: ReadonlyArray<readonly [string, (rig: ClientRig) => Promise<unknown>]> = [
      ['connecting', settle],
      ['connecting', async (rig) => (await settle(), rig.world.now.open())],
      ['waiting', async (rig) => (await settle(), rig.world.now.cut())],
      ['catching-up', (rig) => rig.live(0, 5)],
      ['live', (rig) => rig.live()],
    ]
    for (const [state, reach] of moments) {
      const rig = new ClientRig()
      await reach(rig)
      t.equal(rig.client.state, state)
      rig.world.now.answers = false
      for (let i = 0; i < 5 && rig.world.connections.length === 1; i++) await sleep(rig, 8 * HOUR_MS)
      t.equal(rig.world.connections.length, 2, `${state}: it tries again`)
      await rig.live(0, 1)
      rig.world.now.data(0, [1])
      await settle()
      t.same(rig.handled, [1], state)
      await rig.client.close()
    }
  },
)

void t.test('SDK clock: Retry-After with a date is read by the clock of the server that says it', async (t) => {
  for (const offset of [0, YEAR_MS, -YEAR_MS]) {
    setWallClock(t, offset)
    const at = Date.parse('2026-01-01T00:00:00Z')
    const times: number[] = []
    const client = createPushClient({
      url: 'http://a',
      apiKey: 'k',
      fetch: () => {
        times.push(systemClock.now())
        return Promise.resolve(
          times.length === 1
            ? new Response('', {
                status: 503,
                headers: { date: new Date(at).toUTCString(), 'retry-after': new Date(at + 1_000).toUTCString() },
              })
            : Response.json({ results: [{ device: 'phone-1', seq: 1, epoch: 'e' }] }),
        )
      },
    })
    await client.push('phone-1', 'x')
    const [first = 0, second = 0] = times
    t.ok(second - first >= 990 && second - first < 10_000, `${second - first} ms with ${offset}`)
  }
  t.equal(
    readRetryAfter(new Date(0).toUTCString(), () => YEAR_MS),
    0,
    'a time that is over',
  )
})

void t.test('SDK clock: a Retry-After of nothing is not a loop without a pause', async (t) => {
  let calls = 0
  const client = createPushClient({
    url: 'http://a',
    apiKey: 'k',
    retry: { forMs: 300, minMs: 100 },
    fetch: () => {
      calls++
      return Promise.resolve(new Response('', { status: 503, headers: { 'retry-after': '0' } }))
    },
  })
  await t.rejects(client.device('phone-1'), { code: 'overloaded' })
  await t.rejects(client.push('phone-1', 'x'), { code: 'overloaded' })
  t.ok(calls >= 4 && calls <= 8, `${calls} calls`)
})
