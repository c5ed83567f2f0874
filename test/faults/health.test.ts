// The probes of a node, with real faults: a store that is gone, a process that is frozen, an event loop that is stuck.

import t from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { until } from '../support/road/wait.js'
import { scrape } from '../support/scrape.js'
import { TestServer } from '../support/server.js'

/** The status of a probe; null: no answer within `ms`. */
async function probe(server: TestServer, path: string, ms = 60_000): Promise<number | null> {
  return fetch(server.adminUrl + path, { signal: AbortSignal.timeout(ms) }).then(
    async (response) => {
      await response.arrayBuffer()
      return response.status
    },
    () => null,
  )
}

const gauge = async (server: TestServer, name: string): Promise<number | undefined> =>
  (await scrape(server)).get(`postrider_${name}`)?.samples[0]?.value

void t.test(
  'health: a store that is gone makes the node not ready, and never kills it',
  { skip: noRedis },
  async (t) => {
    const { redis, node } = await startClusterOn(t)
    const server = await node()
    t.equal(await probe(server, '/readyz'), 200)
    await redis.kill('SIGKILL')
    const broken = performance.now()
    await until('not ready', async () => (await probe(server, '/readyz')) === 503)
    t.ok(performance.now() - broken < 30_000, 'within 3 s, on a machine with time')
    t.match(await (await fetch(`${server.adminUrl}/readyz`)).text(), /^not ready\n\[-\] store failed: /)
    const json: unknown = await (await fetch(`${server.adminUrl}/readyz?format=json`)).json()
    t.match(json, { status: 'not_ready', holds: [], checks: [{ name: 'store', ok: false, error: String }] })
    t.equal(await gauge(server, 'ready'), 0)
    t.equal(await gauge(server, 'ready_check'), 0)
    t.equal(await probe(server, '/livez'), 200, 'it lives')
    t.equal(server.child.status, null)
    await redis.start()
    await until('ready again', async () => (await probe(server, '/readyz')) === 200)
    t.equal(await gauge(server, 'ready'), 1)
    t.match(server.child.stderr, /"event":"ready_check_failed".*"check":"store"/)
    t.match(server.child.stderr, /"event":"ready_check_passed".*"check":"store"/)
  },
)

void t.test('health: a store that says nothing makes the node not ready', { skip: noRedis }, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const server = await node()
  redis.signal('SIGSTOP')
  t.teardown(() => redis.signal('SIGCONT'))
  await until('not ready', async () => (await probe(server, '/readyz')) === 503)
  t.equal(await probe(server, '/livez'), 200)
  redis.signal('SIGCONT')
  await until('ready again', async () => (await probe(server, '/readyz')) === 200)
})

void t.test('health: a frozen process and a stuck event loop do not answer, and do when they go on', async (t) => {
  // SIGUSR2 keeps the event loop for a while: a loop in the program that does not end would do the same.
  const stuck = `process.on('SIGUSR2',()=>{const end=Date.now()+8000;while(Date.now()<end);})`
  const server = await TestServer.start(t, {
    nodeFlags: [`--import=data:text/javascript,${encodeURIComponent(stuck)}`],
  })
  t.equal(await probe(server, '/livez'), 200)
  process.kill(server.pid, 'SIGSTOP')
  t.equal(await probe(server, '/livez', 1_000), null, 'frozen')
  process.kill(server.pid, 'SIGCONT')
  await until('an answer', async () => (await probe(server, '/livez')) === 200)
  process.kill(server.pid, 'SIGUSR2')
  await until('no answer', async () => (await probe(server, '/livez', 1_000)) === null)
  await until('an answer again', async () => (await probe(server, '/livez')) === 200)
  await until('ready again', async () => (await probe(server, '/readyz')) === 200)
})

void t.test('health: started, and the step that is under way until then', async (t) => {
  const server = await TestServer.start(t)
  const started = await fetch(`${server.adminUrl}/startupz`, { headers: { accept: 'application/json' } })
  t.equal(started.status, 200)
  t.same(await started.json(), { status: 'started', step: null })
  t.equal(await (await fetch(`${server.adminUrl}/startupz`)).text(), 'started\n')
})
