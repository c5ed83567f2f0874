import { checkServerConfig } from './check-server-config.js'
import { environmentName, settingName } from './option.js'
import { readConfigFile } from './read-file.js'
import { readEnvironment, refuseLaterVariables, unknownVariables, type Environment } from './read-environment.js'
import { readFlags, type FlagRules } from './read-flags.js'
import { resolveOptions, type Layer } from './resolve-options.js'
import { CONFIG_FILE_OPTION, LATER_SETTINGS, SERVER_OPTIONS, type ServerConfig } from './server-options.js'
import { SECRET_SETTINGS } from './secret-settings.js'

export interface LoadedConfig {
  readonly config: ServerConfig
  /** Where each setting that is not a default came from, by its key in `ServerConfig`. */
  readonly where: ReadonlyMap<string, string>
  /** For the log: variables that begin with POSTRIDER_ and mean nothing. */
  readonly unknownVariables: readonly string[]
  /** Words on the command line that are no flags. */
  readonly arguments: readonly string[]
}

const RULES: FlagRules = {
  later: LATER_SETTINGS,
  secrets: SECRET_SETTINGS.map(({ setting }) => setting),
  help: 'postrider serve --help lists them',
}

/** Variables that the client commands read; known to the server so that it does not warn of them. */
const CLIENT_VARIABLES = ['url', 'mqtt-url', 'data', 'ca'].map(environmentName)

/**
 * The configuration of `serve`: flags over environment over file over defaults, each value checked by its type and all
 * together by `checkServerConfig`. Throws StartupError.
 */
export function loadServerConfig(argv: readonly string[], env: Environment): LoadedConfig {
  const table = { ...SERVER_OPTIONS, ...CONFIG_FILE_OPTION }
  const flags = readFlags(argv, table, RULES)
  refuseLaterVariables(env, LATER_SETTINGS)
  const environment = readEnvironment(env, table)
  const { config: path } = resolveOptions(CONFIG_FILE_OPTION, [flags.given, environment]).values
  const file: Layer = path === undefined ? new Map() : readConfigFile(path, SERVER_OPTIONS, RULES)
  const { values, where } = resolveOptions(SERVER_OPTIONS, [flags.given, environment, file])
  checkServerConfig(values, where)
  const known = [
    ...Object.keys(table).map((key) => environmentName(settingName(key))),
    ...SECRET_SETTINGS.map(({ setting }) => environmentName(setting)),
    ...CLIENT_VARIABLES,
  ]
  return { config: values, where, unknownVariables: unknownVariables(env, known), arguments: flags.arguments }
}
