// The parent of the workers: several nodes, each a process of its own, behind one set of ports. It accepts connections and hands
// them out in turn, starts again what ends, and answers on the admin port for all. It serves nobody itself.
//
//   SIGTERM ──▶ parent ──drain──▶ worker 1, 2 … : each as a node that stops by itself; the parent ends behind the last one
//   the parent is killed ──▶ Node ends the workers, whose channel has closed

import cluster from 'node:cluster'
import { createAdminServer, type AdminServer } from '../../core/admin/admin-server.js'
import { createReadiness, type Readiness } from '../../core/admin/readiness.js'
import type { Clock } from '../../core/clock.js'
import type { ServerConfig } from '../../core/config/server-options.js'
import { EXIT } from '../../core/exit-codes.js'
import type { Logger } from '../../core/log.js'
import { ENDED, LastingCounters } from '../../core/metrics/lasting-counters.js'
import { mergeProcesses, sumOf, without, type ProcessMetrics } from '../../core/metrics/merge-processes.js'
import { createMetrics, METRIC_PREFIX } from '../../core/metrics/metrics.js'
import type { Ports } from '../compose.js'
import { explainListenError } from '../listen-error.js'
import { NODE_WIDE, PARENT_READINESS, readinessSource } from '../metrics/process.js'
import { WORKERS } from '../metrics/workers.js'
import { listenForStop } from '../stop-signals.js'
import { WORKER_VARIABLE } from './worker-link.js'
import { WorkerEnded, WorkerSeat, type WorkerEnd } from './worker-seat.js'

export interface WorkersOptions {
  readonly config: ServerConfig
  /** Where each setting that is not a default came from. */
  readonly where: ReadonlyMap<string, string>
  readonly log: Logger
  readonly clock: Clock
  /** All workers serve. */
  readonly onReady: (ports: Ports) => void
}

/** Beyond the deadline of a drain: a worker that hangs is ended then. */
const GRACE_MS = 2_000

/** Runs until it is asked to stop. Resolves to the exit code. Rejects with StartupError. */
export async function runWorkers(options: WorkersOptions): Promise<number> {
  const { config, log, clock } = options
  const counters = { restarts: 0 }
  let stopping = false
  let allEnded: () => void = () => undefined
  let ended: Promise<void> | null = null
  let clean = true
  const restarts = new Set<NodeJS.Timeout>()

  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced' })
  const seats = Array.from(
    { length: config.workers },
    (_, i) =>
      new WorkerSeat({
        number: i + 1,
        fork: (number) => cluster.fork({ [WORKER_VARIABLE]: number }),
        monotonic: () => clock.monotonic(),
        onEnd,
      }),
  )
  const running = (): boolean => seats.some((seat) => seat.running)

  let started = false
  function onEnd(seat: WorkerSeat, end: WorkerEnd, restartMs: number): void {
    if (stopping || !started) {
      if (end.code !== EXIT.ok.code) clean = false
      if (!running()) allEnded()
      return
    }
    counters.restarts++
    log.error({ worker: seat.number, ...end, restartMs }, 'a worker ended, and is started again')
    const timer = setTimeout(() => {
      restarts.delete(timer)
      // When it ends before it serves, `onEnd` is called again.
      seat.start().then(
        () => log.info({ worker: seat.number }, 'a worker serves again'),
        () => undefined,
      )
    }, restartMs)
    restarts.add(timer)
  }

  /** Resolves when no worker runs. */
  const stop = (): Promise<void> => (ended ??= endAll())

  function endAll(): Promise<void> {
    stopping = true
    for (const timer of restarts) clearTimeout(timer)
    for (const seat of seats) seat.order('drain')
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        log.error('a worker did not stop in time, and is ended')
        for (const seat of seats) seat.signal('SIGKILL')
      }, config.drainDeadline + GRACE_MS)
      allEnded = () => {
        clearTimeout(late)
        resolve()
      }
      if (!running()) allEnded()
    })
  }

  const readiness = createReadiness({ clock, log })
  readiness.hold('starting')
  const metrics = workersMetrics(seats, counters, readiness)

  let hurried = false
  const stopped = new Promise<void>((resolve) => {
    listenForStop(
      clock,
      (signal) => {
        log.info({ signal, workers: config.workers }, 'stopping')
        readiness.hold('draining')
        resolve(stop())
      },
      () => {
        if (hurried) return false
        hurried = true
        for (const seat of seats) seat.order('hurry')
        return true
      },
    )
  })
  const onHangup = (): void => {
    for (const seat of seats) seat.signal('SIGHUP')
  }
  if (config.tlsCert !== undefined) process.on('SIGHUP', onHangup)

  const admin = await startAdmin(options, readiness, metrics, () => started)
  try {
    const ports = await startAll(seats, () => stopping)
    started = true
    for (const seat of seats) readiness.addCheck({ name: `worker ${seat.number}`, check: () => looksGood(seat) })
    readiness.release('starting')
    options.onReady({ ...ports, ...(admin === null ? {} : { admin: admin.port }) })
    log.info({ workers: config.workers, ports }, 'all workers serve')
    await stopped
  } catch (error) {
    if (!(error instanceof WorkerEnded)) throw error
    const asked = stopping
    await stop()
    if (!asked) return error.end.code ?? EXIT.crashed.code
  } finally {
    readiness.stop()
    await admin?.server.stop()
    process.removeListener('SIGHUP', onHangup)
  }
  log.info({ clean }, 'stopped')
  return clean ? EXIT.ok.code : EXIT.failed.code

  async function looksGood(seat: WorkerSeat): Promise<void> {
    const told = await seat.ask('readiness')
    if (told.said === 'readiness' && !told.ready) throw new Error(told.why)
  }
}

/** The first one alone: what is wrong with the configuration is said once. */
async function startAll([first, ...others]: readonly WorkerSeat[], stopping: () => boolean): Promise<Ports> {
  if (first === undefined) throw new RangeError('no workers')
  const ports = await first.start()
  if (stopping()) throw new WorkerEnded(first.number, { code: EXIT.ok.code, signal: null })
  await Promise.all(others.map((seat) => seat.start()))
  return ports
}

/** What Prometheus gets: the numbers of the workers that answer, and of the parent. */
function workersMetrics(
  seats: readonly WorkerSeat[],
  counters: { readonly restarts: number },
  readiness: Pick<Readiness, 'report' | 'last'>,
): { readonly contentType: string; text(): Promise<string> } {
  const own = createMetrics()
  const lasting = new LastingCounters()
  let told: readonly ProcessMetrics[] = []
  own.expose(
    WORKERS.of({
      workers: seats.length,
      serving: () => seats.filter(({ serving }) => serving).length,
      restarts: () => counters.restarts,
      connections: () => new Map(inSeats().map((each) => [each.worker, sumOf(each, `${METRIC_PREFIX}connections`)])),
    }),
  )
  own.expose(PARENT_READINESS.of(readinessSource(readiness)))
  const ofParent = new Set(NODE_WIDE.map((name) => METRIC_PREFIX + name))
  const inSeats = () => told.filter(({ worker }) => worker !== ENDED)
  const ask = async (seat: WorkerSeat) => {
    const { run } = seat
    // Of one that is starting again, or hangs, there are only the counters it had; the parent's own numbers say so.
    const report = await seat.ask('metrics').catch(() => null)
    return { worker: String(seat.number), run, metrics: report?.said === 'metrics' ? report.metrics : null }
  }
  return {
    contentType: own.contentType,
    async text() {
      const [answers] = await Promise.all([Promise.all(seats.map(ask)), readiness.report()])
      told = lasting.merge(answers)
      // A worker that is gone or hangs says nothing, so that those who are left would look ready: `/readyz` and this are one.
      const ofWorkers = told.map((each) => without(each, ofParent))
      return mergeProcesses([...ofWorkers, { worker: 'parent', metrics: await own.registry.getMetricsAsJSON() }])
    },
  }
}

/** Null: it is off. */
async function startAdmin(
  { config, where, log }: WorkersOptions,
  readiness: Readiness,
  metrics: { readonly contentType: string; text(): Promise<string> },
  started: () => boolean,
): Promise<{ readonly server: AdminServer; readonly port: number } | null> {
  if (config.adminPort === null) return null
  const server = createAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics: config.metrics === 'on' ? metrics : null,
    readiness,
    start: () => ({ started: started(), step: started() ? null : 'workers' }),
    log,
  })
  try {
    return { server, port: (await server.start()).admin }
  } catch (error) {
    throw explainListenError(error, config, where)
  }
}
