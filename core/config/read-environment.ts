import { StartupError } from '../errors.js'
import { environmentName, settingName, type OptionTable } from './option.js'
import type { Given, Layer } from './resolve-options.js'

export type Environment = Readonly<Record<string, string | undefined>>

/** What the environment says about the options of `table`. A variable that is set but empty counts as not set. */
export function readEnvironment(env: Environment, table: OptionTable): Layer {
  const layer = new Map<string, Given>()
  for (const key of Object.keys(table)) {
    const setting = settingName(key)
    const name = environmentName(setting)
    const text = env[name]
    if (text !== undefined && text !== '') layer.set(setting, { where: name, text })
  }
  return layer
}

/** Throws a StartupError when a variable of a feature that is not built is set: it must not be taken for working. */
export function refuseLaterVariables(env: Environment, later: Readonly<Record<string, string>>): void {
  for (const [setting, what] of Object.entries(later)) {
    const name = environmentName(setting)
    if (env[name] !== undefined && env[name] !== '') throw new StartupError(`${name}: ${what} is not in this version`)
  }
}

/** Kubernetes sets these for every service in reach; one may be named postrider. */
const SERVICE_LINK = /^POSTRIDER_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)|PORT)(?:_[A-Z0-9_]+)?$/

/** Variables that look like ours and are not: a slip that would otherwise be ignored in silence. */
export function unknownVariables(env: Environment, known: Iterable<string>): readonly string[] {
  const names = new Set(known)
  return Object.keys(env).filter(
    (name) => name.startsWith('POSTRIDER_') && !names.has(name) && !SERVICE_LINK.test(name),
  )
}
