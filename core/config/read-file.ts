import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'
import { StartupError } from '../errors.js'
import { nearest } from './nearest.js'
import { environmentName, settingName, type OptionTable } from './option.js'
import type { FlagRules } from './read-flags.js'
import type { Given, Layer } from './resolve-options.js'

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * What a YAML text says about the options of `table`: one flat map, keys as the flags without their dashes. Scalars are
 * read by the same rules as flags. Throws a StartupError that names `path` and the key.
 */
export function readConfigText(yaml: string, path: string, table: OptionTable, rules: FlagRules): Layer {
  const document = parseDocument(yaml, { prettyErrors: true })
  const [error] = document.errors
  if (error !== undefined) throw new StartupError(`${path}: not valid YAML: ${error.message.trim()}`)
  let content: unknown
  try {
    content = document.toJS({ mapAsMap: true })
  } catch (cause) {
    // Aliases that name nothing, or that multiply.
    throw new StartupError(`${path}: not valid YAML: ${messageOf(cause)}`, { cause })
  }
  const layer = new Map<string, Given>()
  if (content === null || content === undefined) return layer
  if (!(content instanceof Map)) throw new StartupError(`${path}: must be a map of settings, such as "window: 64"`)

  const settings = Object.keys(table).map(settingName)
  for (const [rawKey, value] of content) {
    const key = String(rawKey)
    const where = `${path}: ${key}`
    const later = Object.entries(rules.later ?? {}).find(([name]) => name === key)
    if (later !== undefined) throw new StartupError(`${where}: ${later[1]} is not in this version`)
    if (rules.secrets?.includes(key) === true) {
      throw new StartupError(`${where}: secrets are not taken from this file; set ${environmentName(key)}`)
    }
    if (!settings.includes(key)) {
      const meant = nearest(key, settings)
      throw new StartupError(`${where}: no such setting${meant === null ? '' : `; did you mean ${meant}?`}`)
    }
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
      throw new StartupError(`${where}: must be one value, not ${value === null ? 'nothing' : 'a list or map'}`)
    }
    layer.set(key, { where, text: String(value) })
  }
  return layer
}

/** `readConfigText` of a file. A file that cannot be read is a StartupError. */
export function readConfigFile(path: string, table: OptionTable, rules: FlagRules): Layer {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new StartupError(`--config ${path}: cannot be read: ${messageOf(cause)}`, { cause })
  }
  return readConfigText(text, path, table, rules)
}
