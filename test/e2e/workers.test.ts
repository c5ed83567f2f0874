// `--workers N`: several nodes behind one set of ports, as processes on one Redis.

import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { startClusterOn } from '../support/cluster.js'
import { noRedis } from '../support/redis/server.js'
import { RoadDevice } from '../support/road/device.js'
import { drained, kept, producerFor, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { troublesIn } from '../support/server-log.js'
import type { TestServer } from '../support/server.js'
import { stopwatch } from '../support/stopwatch.js'

const noProc = process.platform === 'linux' ? false : 'needs /proc'
const skip = { skip: noRedis === false ? noProc : noRedis }

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

const FLAGS = ['--connect-rate-per-device', 'off', '--inbox-max', '50000']

t.setTimeout(900_000)

/** Starting a process takes long on a busy machine. */
const START_MS = 90_000

/** The processes that the server has started. Linux. */
function workersOf({ pid }: Pick<TestServer, 'pid'>): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const after = readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').at(-1) ?? ''
      return Number(after.split(' ')[1]) === pid && !after.startsWith('Z') ? [Number(name)] : []
    } catch {
      return [] // it has ended meanwhile
    }
  })
}

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.startsWith('Z')
  } catch {
    return false
  }
}

/**
 * Devices that come back by themselves, to the port of any of the servers. They connect one after the other: a worker
 * that has not yet taken the connection handed to it is passed over, so that of many at once a busy worker gets fewer.
 */
async function fleet(t: Test, servers: readonly TestServer[], ledger: RoadLedger, ids: readonly string[]) {
  const devices: RoadDevice[] = []
  for (const device of ids) {
    let turn = devices.length
    const [first] = servers
    if (first === undefined) throw new RangeError('no server')
    const token = await first.token(device)
    const port = (): number => servers[turn++ % servers.length]?.ports.mqtt ?? 0
    const made = new RoadDevice({ device, token, ledger, port })
    t.teardown(() => made.stop(true))
    devices.push(await made.start().untilReady())
  }
  await until('all to be connected', () => devices.every(({ ready }) => ready))
  return devices
}

/** Connected devices of each worker. */
const spread = (server: TestServer, workers: number): Promise<number[]> =>
  Promise.all(names('worker', workers).map((_, i) => metric(server, 'worker_connections', `worker="${i + 1}"`)))

t.test('workers: one port, evenly spread, messages flow, one owner for each device', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const server = await node('--workers', '3', ...FLAGS)
  t.equal(server.child.stdout.split('\n').length, 2, 'one ready line')
  t.equal(workersOf(server).length, 3)
  await until('it to be ready', async () => (await fetch(`${server.adminUrl}/readyz`)).status === 200)
  t.match(await (await fetch(`${server.adminUrl}/readyz?format=json`)).json(), {
    status: 'ready',
    checks: [{ name: 'worker 1' }, { name: 'worker 2' }, { name: 'worker 3' }],
  })

  const ledger = new RoadLedger()
  const ids = names('phone', 60)
  await fleet(t, [server], ledger, ids)
  const counts = await spread(server, 3)
  t.comment(`60 devices: ${counts.join(', ')}`)
  t.equal(await metric(server, 'connections'), 60)
  t.ok(Math.max(...counts) - Math.min(...counts) <= 8, 'evenly')
  const nodes = new Set(await Promise.all(ids.map(async (id) => (await statusOf(server, id))['node'])))
  t.equal(nodes.size, 3, 'each worker is a node of its own')

  const producer = await producerFor(t, server, ledger, { devices: ids, lanes: 3, batch: 20, rate: 600 })
  producer.start()
  await until('messages', () => ledger.progress.arrived > 600)
  // One device comes again and again, and gets to another worker each time.
  let before: RoadDevice | null = null
  for (let turn = 0; turn < 9; turn++) {
    const next = await roadDevice(t, server, new RoadLedger(), 'moves', { returns: false })
    const elapsed = stopwatch(t)
    await next.start().untilReady()
    const older: RoadDevice | null = before
    if (older !== null) {
      await until('the older one to be closed', () => older.ends === 1, 30_000)
      t.ok(elapsed() < 4_000, `turn ${turn}: taken over`)
    }
    before = next
  }
  t.ok((await metric(server, 'takeovers_total')) >= 8)
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, server, ids)
  t.ok((await metric(server, 'messages_acked_total')) >= 600, 'counters are sums')
  const text = await (await fetch(`${server.adminUrl}/metrics`)).text()
  for (const worker of ['1', '2', '3', 'parent']) {
    const bytes = Number(new RegExp(`^process_resident_memory_bytes{worker="${worker}"} (\\d+)$`, 'm').exec(text)?.[1])
    t.ok(bytes > 10_000_000, `worker ${worker}: ${Math.round(bytes / 2 ** 20)} MiB`)
  }
  const from = performance.now()
  t.same(await server.stop(), { code: 0, signal: null })
  t.comment(`stopped after ${Math.round(performance.now() - from)} ms`)
  t.same(troublesIn(server.child.stderr), [])
})

t.test('workers: one that is killed is started again, and nothing is lost', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const server = await node('--workers', '2', ...FLAGS)
  const ledger = new RoadLedger()
  const ids = names('phone', 30)
  const devices = await fleet(t, [server], ledger, ids)
  const producer = await producerFor(t, server, ledger, { devices: ids, lanes: 3, batch: 10, rate: 300 })
  producer.start()
  await until('messages', () => ledger.progress.arrived > 200)
  const [victim = 0, other = 0] = workersOf(server)
  ledger.cut()
  process.kill(victim, 'SIGKILL')
  await until('it to be counted', async () => (await metric(server, 'worker_restarts_total')) === 1)
  await until(
    'another one to serve',
    async () => (await metric(server, 'workers_serving')) === 2,
    START_MS,
    () => server.child.stderr,
  )
  t.equal(workersOf(server).length, 2)
  t.ok(workersOf(server).includes(other), 'the other one is still the same')
  await until(
    'the parent to be ready again',
    async () => (await fetch(`${server.adminUrl}/readyz`)).status === 200,
    START_MS,
  )
  await until('all to be back', () => devices.every(({ ready }) => ready))
  t.ok(
    devices.some(({ ends }) => ends === 0),
    'the devices of the other one noticed nothing',
  )
  // SIGTERM to one worker lets its devices go in good order; it is replaced, too.
  const [again = 0] = workersOf(server)
  process.kill(again, 'SIGTERM')
  await until('it to be counted', async () => (await metric(server, 'worker_restarts_total')) === 2, START_MS)
  await until(
    'another one to serve',
    async () => (await metric(server, 'workers_serving')) === 2,
    START_MS,
    () => server.child.stderr,
  )
  await until('all to be back', () => devices.every(({ ready }) => ready))
  await producer.stop()
  kept(t, await untilArrived(ledger))
  await drained(t, server, ids)
})

t.test('workers: one that hangs: the probe and the metrics say the same', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const server = await node('--workers', '2')
  const readyz = async (): Promise<number> => (await fetch(`${server.adminUrl}/readyz`)).status
  const check = (number: number): Promise<number> => metric(server, 'ready_check', `check="worker ${number}"`)
  await until('it to be ready', async () => (await readyz()) === 200, START_MS)
  await until('the metrics to say so', async () => (await metric(server, 'ready')) === 1, START_MS)
  t.same([await check(1), await check(2)], [1, 1])
  const [first = 0] = workersOf(server)
  process.kill(first, 'SIGSTOP')
  t.teardown(() => isThere(first) && process.kill(first, 'SIGCONT'))
  await until('it not to be ready', async () => (await readyz()) === 503, START_MS)
  t.equal(await metric(server, 'ready'), 0, 'also where the one that answers is ready')
  t.equal(await metric(server, 'ready_check', 'check="worker'), 1, 'of two')
  t.ok((await metric(server, 'ready_check', 'check="store"')) >= 1, 'what the other one says is there, too')
  t.equal(await metric(server, 'node_state'), 1, 'one state')
  process.kill(first, 'SIGCONT')
  await until('it to be ready again', async () => (await readyz()) === 200, START_MS)
  await until('the metrics to say so', async () => (await metric(server, 'ready')) === 1, START_MS)
})

t.test('workers: they end with their parent, however that ends', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const server = await node('--workers', '2')
  const workers = workersOf(server)
  t.equal(workers.length, 2)
  const elapsed = stopwatch(t)
  await server.kill('SIGKILL')
  await until('the workers to end', () => !workers.some(isThere))
  const took = elapsed()
  t.ok(took < 5_000, `${Math.round(took)} ms`)
  await server.restart()
  t.equal(workersOf(server).length, 2, 'the ports are free at once')
})

t.test('workers: SIGTERM to the parent drains them all, and their devices go elsewhere', skip, async (t) => {
  const { node } = await startClusterOn(t)
  const server = await node('--workers', '2', '--drain-delay', '1500ms', '--drain-rate', '40/s', ...FLAGS)
  const other = await node(...FLAGS)
  // No cut is noted: what was acknowledged must not come again.
  const ledger = new RoadLedger()
  const ids = names('phone', 80)
  const devices = await fleet(t, [server, other], ledger, ids)
  const producer = await producerFor(t, other, ledger, { devices: ids, lanes: 3, batch: 10, rate: 300 })
  producer.start()
  await until('messages', () => ledger.progress.arrived > 200)
  const here = await metric(server, 'connections')
  t.ok(here >= 30)
  const exited = server.stop()
  await until('it to say so', async () => (await fetch(`${server.adminUrl}/readyz`)).status === 503)
  t.match(await (await fetch(`${server.adminUrl}/readyz?format=json`)).json(), { holds: ['draining'] })
  t.same(await exited, { code: 0, signal: null })
  const ends = devices.flatMap((device) => (device.ends > 0 ? [device.endedAt] : [])).toSorted((a, b) => a - b)
  t.ok(ends.length > 20, `${ends.length} devices were let go, ${here} were there`)
  const perSecond = ((ends.length - 1) / ((ends.at(-1) ?? 0) - (ends[0] ?? 0))) * 1_000
  t.ok(perSecond < 52, `${perSecond.toFixed(1)} of 40 connections/s, both workers together`)
  await until('all to be back', () => devices.every(({ ready }) => ready))
  await producer.stop()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.equal(verdict.repeats, 0)
  t.same(troublesIn(server.child.stderr), [])
})

t.test('workers: a start that fails says why, once, with its exit code', skip, async (t) => {
  const { redis, node } = await startClusterOn(t)
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await new Promise((resolve) => taken.once('listening', resolve))
  const address = taken.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const failure = await node('--workers', '3', '--mqtt-port', String(port)).then(
    () => '',
    (error: unknown) => String(error),
  )
  t.equal(failure.match(/the port is in use by another process/g)?.length, 1, failure)
  await redis.kill('SIGKILL')
  const unreachable = await node('--workers', '3').then(
    () => '',
    (error: unknown) => String(error),
  )
  t.equal(unreachable.match(/postrider: /g)?.length, 1, unreachable)
})
