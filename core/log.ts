import type { Clock } from './clock.js'
import { eventOf } from './log-events.js'
import { TokenBucket, type Rate } from './limits/token-bucket.js'
import { pino, type LogFn, type Logger as PinoLogger } from 'pino'

export type Logger = PinoLogger

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Fields that may hold a secret when somebody logs a request, a packet or options by mistake. The rule stays: don't. */
const SECRET_FIELDS = [
  'password',
  'token',
  'apiKey',
  'operatorKeys',
  'secret',
  'secrets',
  'tokenSecrets',
  'authorization',
]

/** Levels of pino: the lines between are counted. Who asks for debug lines wants all of them. */
const INFO = 30
const ERROR = 50
const LEFT_OUT = 'lines were left out: clients caused too many'

/**
 * How many lines of levels info and warn are written: for what clients cause. Each line is written synchronously and costs disk, and
 * a hostile client can cause one with a few bytes.
 */
export class LineLimit {
  readonly #rate: Rate
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #bucket: TokenBucket
  #leftOutBefore = 0
  /** Lines that were not written. */
  leftOut = 0

  constructor(rate: Rate, clock: Pick<Clock, 'monotonic'>) {
    this.#rate = rate
    this.#clock = clock
    this.#bucket = new TokenBucket(rate, clock.monotonic())
  }

  /** Counts a line; false: it is not to be written. */
  take(): boolean {
    if (this.#bucket.take(this.#rate, this.#clock.monotonic())) return true
    this.leftOut++
    this.#leftOutBefore++
    return false
  }

  /** Lines left out since this was asked last. */
  leftOutBefore(): number {
    const count = this.#leftOutBefore
    this.#leftOutBefore = 0
    return count
  }
}

/** Lines a second of levels info and warn that clients may cause, and how many at once. */
export const CLIENT_LINES: Rate = { perSecond: 100, burst: 1_000 }

type LogArguments = Parameters<LogFn>

/** The name of the line, in front of its fields. */
function withEvent(args: LogArguments): LogArguments {
  const [fields, text]: readonly unknown[] = args
  const words = typeof fields === 'string' ? fields : text
  const event = typeof words === 'string' ? eventOf(words) : undefined
  if (event === undefined || typeof words !== 'string') return args
  return [{ event, ...(typeof fields === 'object' ? fields : {}) }, words]
}

/**
 * The process's log: one JSON object a line on stderr, times as RFC 3339. Written synchronously, so that the last line
 * before an exit or a crash is not lost; stdout stays free for the ready line.
 */
export function createLogger(options: { readonly level: LogLevel; readonly limit?: LineLimit }): Logger {
  const { limit } = options
  const destination = pino.destination({ dest: 2, sync: true })
  // Whoever read the log is gone: lines are lost then, the service is not.
  destination.on('error', () => undefined)
  return pino(
    {
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      hooks: {
        logMethod(args, method, level) {
          if (limit !== undefined) {
            if (level >= INFO && level < ERROR && !limit.take()) return
            const leftOut = limit.leftOutBefore()
            if (leftOut > 0) method.apply(this, [{ event: eventOf(LEFT_OUT), leftOut }, LEFT_OUT])
          }
          method.apply(this, withEvent(args))
        },
      },
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.headers.${field}`, `headers.${field}`]),
        censor: '[secret]',
      },
    },
    destination,
  )
}
