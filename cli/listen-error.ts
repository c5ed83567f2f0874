import { listenersOf } from '../core/config/check-server-config.js'
import { settingName } from '../core/config/option.js'
import type { ServerConfig } from '../core/config/server-options.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'

interface SystemError {
  readonly code: string
  readonly port: number | null
}

/** The error of the operating system in an error or its causes. */
function systemErrorIn(error: unknown): SystemError | null {
  for (let each = error; each instanceof Error; each = each.cause) {
    if ('syscall' in each && 'code' in each && typeof each.code === 'string') {
      return { code: each.code, port: 'port' in each && typeof each.port === 'number' ? each.port : null }
    }
  }
  return null
}

/**
 * Turns the failure of a listener into words that name the flag to change. Any other error is returned as it is.
 * `where`: the source of each setting that is not a default.
 */
export function explainListenError(error: unknown, config: ServerConfig, where: ReadonlyMap<string, string>): unknown {
  const system = systemErrorIn(error)
  if (system === null) return error
  const { code, port } = system
  const key = listenersOf(config).find((each) => port !== null && port !== 0 && config[each] === port)
  const setting = key === undefined ? '' : `${where.get(key) ?? `--${settingName(key)} (default)`} ${port ?? ''}: `
  const host = `${where.get('host') ?? '--host (default)'} ${config.host}: `
  const explained = (message: string, exitCode: number): StartupError =>
    new StartupError(message, { cause: error, exitCode })
  switch (code) {
    case 'EADDRINUSE':
      return explained(
        `${setting}the port is in use by another process on ${config.host}; stop that one, or choose another port (0: any free one)`,
        EXIT.busy.code,
      )
    case 'EACCES':
      return explained(`${setting}this user may not listen there; choose a port from 1024 on`, EXIT.badConfig.code)
    case 'EADDRNOTAVAIL':
    case 'EINVAL':
      return explained(`${host}this machine does not have that address`, EXIT.badConfig.code)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return explained(`${host}no machine of that name is known`, EXIT.badConfig.code)
    case 'EAFNOSUPPORT':
      return explained(`${host}this machine does not speak that kind of address`, EXIT.badConfig.code)
    default:
      return error
  }
}
