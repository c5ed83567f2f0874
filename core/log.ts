import { pino, type Logger as PinoLogger } from 'pino'

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

/**
 * The process's log: one JSON object a line on stderr, times as RFC 3339. Written synchronously, so that the last line
 * before an exit or a crash is not lost; stdout stays free for the ready line.
 */
export function createLogger(options: { readonly level: LogLevel }): Logger {
  const destination = pino.destination({ dest: 2, sync: true })
  // Whoever read the log is gone: lines are lost then, the service is not.
  destination.on('error', () => undefined)
  return pino(
    {
      level: options.level,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.headers.${field}`, `headers.${field}`]),
        censor: '[secret]',
      },
    },
    destination,
  )
}
