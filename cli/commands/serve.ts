import { createReadiness } from '../../core/admin/readiness.js'
import { systemClock } from '../../core/clock.js'
import { loadServerConfig } from '../../core/config/load-server-config.js'
import { CONFIG_FILE_OPTION, SERVER_OPTIONS } from '../../core/config/server-options.js'
import { createDrain } from '../../core/drain.js'
import { EXIT } from '../../core/exit-codes.js'
import { createLifecycle, StoppedWhileStarting } from '../../core/lifecycle.js'
import { createLogger, type Logger } from '../../core/log.js'
import { usageError, type Command, type CommandIo } from '../command.js'
import { startServer, type RunningServer } from '../compose.js'
import { firstStartLines } from '../first-start.js'
import { API_KEY_VARIABLE, TOKEN_SECRET_VARIABLE } from '../secrets.js'
import { listenForStop } from '../stop-signals.js'

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
  for (const name of loaded.unknownVariables) log.warn({ name }, 'an environment variable that means nothing here')
  const keys = (io.env[API_KEY_VARIABLE] ?? '').split(',').map((key) => key.trim())
  if (keys.some((key) => key !== '' && key.length < API_KEY_SHORT))
    log.warn({ name: API_KEY_VARIABLE }, 'the API key is short enough to be guessed')

  const clock = systemClock
  const readiness = createReadiness({ clock, log })
  readiness.hold('starting')
  const lifecycle = createLifecycle({ log, clock, stopDeadlineMs: config.drainDeadline })
  const drain = createDrain({ clock, log, delayMs: config.drainDelay, deadlineMs: config.drainDeadline })
  let serving = false
  const stop = async (): Promise<boolean> => lifecycle.stop(serving ? await drain.run() : config.drainDeadline)
  const stopped = new Promise<boolean>((resolve) => {
    listenForStop(
      clock,
      (signal) => {
        log.info({ signal }, 'stopping')
        readiness.hold('draining')
        resolve(stop())
      },
      (signal) => {
        const hurries = serving && drain.hurry()
        if (hurries) log.info({ signal }, 'asked again: stopping without a pause')
        return hurries
      },
    )
  })

  let server: RunningServer
  try {
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
  io.stderr.write(firstStartLines(server, config))
  readiness.release('starting')
  serving = true
  io.stdout.write(`${JSON.stringify({ ready: true, ports: server.ports })}\n`)

  const clean = await stopped
  log.info({ clean }, 'stopped')
  return clean ? EXIT.ok.code : EXIT.failed.code
}

export const serveCommand: Command = {
  name: 'serve',
  summary: 'the server itself',
  usage: '[flags]',
  details: [
    'Prints one line when it serves: {"ready":true,"ports":{"mqtt":1883,"ws":8083,"http":8080,"admin":9090}}. Logs go to stderr.',
    `Secrets come from the environment alone: ${API_KEY_VARIABLE} and ${TOKEN_SECRET_VARIABLE}, else from files in the data folder, which the first start makes.`,
    'SIGTERM and SIGINT stop in good order; a second one waits for nothing more, a third ends at once. With TLS, SIGHUP reads the certificate again.',
  ],
  options: { ...CONFIG_FILE_OPTION, ...SERVER_OPTIONS },
  run,
}
