import { createReadiness, type ReadyReport } from '../../core/admin/readiness.js'
import { systemClock } from '../../core/clock.js'
import { loadServerConfig, type LoadedConfig } from '../../core/config/load-server-config.js'
import { CONFIG_FILE_OPTION, SERVER_OPTIONS, type ServerConfig } from '../../core/config/server-options.js'
import { createDrain } from '../../core/drain.js'
import { EXIT } from '../../core/exit-codes.js'
import { createLifecycle, StoppedWhileStarting } from '../../core/lifecycle.js'
import { createLogger, type Logger } from '../../core/log.js'
import { usageError, type Command, type CommandIo } from '../command.js'
import type { Ports, RunningServer } from '../compose.js'
import { firstStartLines } from '../first-start.js'
import { API_KEY_VARIABLE, TOKEN_SECRET_VARIABLE } from '../secrets.js'
import { listenForStop } from '../stop-signals.js'
import { parentChannel, workerLink, type WorkerLink } from '../workers/worker-link.js'
import type { WorkerReadiness } from '../workers/worker-messages.js'

/** Shorter keys than this can be guessed; they are taken, with a warning. */
const API_KEY_SHORT = 20

/** A fault of the program ends it: what it holds in memory cannot be trusted any more, what is stored can. */
function endOnFaults(log: Logger): void {
  const end = (err: unknown, what: string): never => {
    log.fatal({ err }, what)
    process.exit(EXIT.crashed.code)
  }
  process.on('uncaughtException', (err) => end(err, 'an error that nothing caught'))
  process.on('unhandledRejection', (err) => end(err, 'a rejection that nothing handled'))
}

async function run(io: CommandIo): Promise<number> {
  const loaded = loadServerConfig(io.argv, io.env)
  const [extra] = loaded.arguments
  if (extra !== undefined) throw usageError(`postrider serve takes flags only, not "${extra}" (postrider serve --help)`)
  const { config, where } = loaded
  const log = createLogger({ level: config.logLevel })
  endOnFaults(log)
  const worker = workerLink(io.env, parentChannel(), (err) => log.error({ err }, 'the parent could not be answered'))
  // What is odd about the settings, the parent has said.
  if (worker !== null) return runNode(io, { ...loaded, config: workerConfig(config) }, log, worker)
  for (const name of loaded.unknownVariables) log.warn({ name }, 'an environment variable that means nothing here')
  const keys = (io.env[API_KEY_VARIABLE] ?? '').split(',').map((key) => key.trim())
  if (keys.some((key) => key !== '' && key.length < API_KEY_SHORT))
    log.warn({ name: API_KEY_VARIABLE }, 'the API key is short enough to be guessed')

  if (config.workers === 1) return runNode(io, loaded, log, null)
  const onReady = (ports: Ports): void => printReady(io, ports)
  const { runWorkers } = await import('../workers/run-workers.js')
  return runWorkers({ config, where, log, clock: systemClock, onReady })
}

/** The parent answers on the admin port, and the rate is of all workers together. */
const workerConfig = (config: ServerConfig): ServerConfig => ({
  ...config,
  adminPort: null,
  drainRate: config.drainRate / config.workers,
})

const printReady = (io: CommandIo, ports: Ports): void =>
  void io.stdout.write(`${JSON.stringify({ ready: true, ports })}\n`)

/** One node, in this process. */
async function runNode(
  io: CommandIo,
  { config, where }: Pick<LoadedConfig, 'config' | 'where'>,
  log: Logger,
  worker: WorkerLink | null,
): Promise<number> {
  const clock = systemClock
  const readiness = createReadiness({ clock, log })
  readiness.hold('starting')
  const lifecycle = createLifecycle({ log, clock, stopDeadlineMs: config.drainDeadline })
  const drain = createDrain({ clock, log, delayMs: config.drainDelay, deadlineMs: config.drainDeadline })
  let serving = false
  const stop = async (): Promise<boolean> => lifecycle.stop(serving ? await drain.run() : config.drainDeadline)
  const stopped = new Promise<boolean>((resolve) => {
    let asked = false
    const stopOnce = (why: string): void => {
      if (asked) return
      asked = true
      log.info({ signal: why }, 'stopping')
      readiness.hold('draining')
      resolve(stop())
    }
    const hurry = (why: string): boolean => {
      const hurries = serving && drain.hurry()
      if (hurries) log.info({ signal: why }, 'asked again: stopping without a pause')
      return hurries
    }
    if (worker === null) listenForStop(clock, stopOnce, hurry)
    else {
      worker.onOrders({ drain: () => stopOnce('parent'), hurry: () => void hurry('parent') })
      process.on('SIGTERM', stopOnce)
      // A terminal sends it to the parent, too, which decides.
      process.on('SIGINT', () => undefined)
    }
  })

  let server: RunningServer
  try {
    // The other commands, and the parent of workers, start in a third of the time without a server's packages.
    const { startServer } = await import('../compose.js')
    server = await startServer({
      config,
      where,
      env: io.env,
      log,
      clock,
      lifecycle,
      drain,
      readiness,
      started: () => serving,
      version: io.version,
    })
  } catch (error) {
    const clean = await lifecycle.stop()
    if (error instanceof StoppedWhileStarting) return clean ? EXIT.ok.code : EXIT.failed.code
    throw error
  }
  const { metrics, ports } = server
  worker?.answers({
    metrics: async () => (await metrics?.registry.getMetricsAsJSON()) ?? [],
    readiness: async () => readinessOf(await readiness.report()),
  })
  readiness.release('starting')
  serving = true
  if (worker === null) {
    io.stderr.write(firstStartLines(server, config))
    printReady(io, ports)
  } else worker.serving(ports)

  const clean = await stopped
  log.info({ clean }, 'stopped')
  return clean ? EXIT.ok.code : EXIT.failed.code
}

function readinessOf({ ready, holds, checks }: ReadyReport): WorkerReadiness {
  const bad = checks.filter(({ ok }) => !ok).map(({ name, error = '' }) => `${name}: ${error}`)
  return { ready, why: [...holds, ...bad].join('; ') }
}

export const serveCommand: Command = {
  name: 'serve',
  summary: 'the server itself',
  usage: '[flags]',
  details: [
    'Prints one line when it serves: {"ready":true,"ports":{"mqtt":1883,"ws":8083,"http":8080,"admin":9090}}. Logs go to stderr.',
    `Secrets come from the environment alone: ${API_KEY_VARIABLE} and ${TOKEN_SECRET_VARIABLE}, or the files that these name with _FILE behind them; else from files in the data folder, which the first start makes.`,
    'SIGTERM and SIGINT stop in good order; a second one waits for nothing more, a third ends at once. With --workers that goes to the process that was started, which passes it on. With TLS, SIGHUP reads the certificate again.',
  ],
  options: { ...CONFIG_FILE_OPTION, ...SERVER_OPTIONS },
  run,
}
