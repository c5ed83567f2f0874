import { parseArgs } from 'node:util'
import { StartupError } from '../errors.js'
import { EXIT } from '../exit-codes.js'
import { nearest } from './nearest.js'
import { environmentName, settingName, type OptionTable } from './option.js'
import type { Given } from './resolve-options.js'

export interface FlagsRead {
  /** By setting name. */
  readonly given: ReadonlyMap<string, Given>
  readonly arguments: readonly string[]
}

export interface FlagRules {
  /** Settings of features that a later version has, and what they belong to. */
  readonly later?: Readonly<Record<string, string>>
  /** Settings that are read from the environment only. */
  readonly secrets?: readonly string[]
  /** How to see what there is: ends every error. */
  readonly help: string
}

const usage = (message: string): StartupError => new StartupError(message, { exitCode: EXIT.usage.code })

function refuseUnknown(flag: string, settings: readonly string[], rules: FlagRules): never {
  const setting = flag.replace(/^-+/, '')
  const later = Object.entries(rules.later ?? {}).find(([name]) => name === setting)
  if (later !== undefined) throw usage(`${flag}: ${later[1]} is not in this version`)
  if (rules.secrets?.includes(setting) === true) {
    throw usage(
      `${flag}: secrets are not taken from flags, where every user of the machine can read them; set ${environmentName(setting)}`,
    )
  }
  const meant = nearest(setting, settings)
  throw usage(`${flag}: no such flag${meant === null ? '' : `; did you mean --${meant}?`} (${rules.help})`)
}

/**
 * Reads a command line against a table: `--name value`, `--name=value`, `--switch`, `--no-switch` is not one of them; `--`
 * ends the flags. Throws a StartupError for an unknown flag (with the nearest one), a missing or doubled value.
 */
export function readFlags(argv: readonly string[], table: OptionTable, rules: FlagRules): FlagsRead {
  const entries = Object.entries(table).map(([key, spec]) => ({ setting: settingName(key), spec }))
  const settings = entries.map((entry) => entry.setting)
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      entries.map(({ setting, spec }) => [setting, { type: spec.type.placeholder === '' ? 'boolean' : 'string' }]),
    ),
  })
  const given = new Map<string, Given>()
  const positionals: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const flag = token.rawName
    const spec = entries.find((entry) => entry.setting === token.name)?.spec
    if (spec === undefined || !flag.startsWith('--')) refuseUnknown(flag, settings, rules)
    const isSwitch = spec.type.placeholder === ''
    if (isSwitch && token.value !== undefined) throw usage(`${flag} is a switch and takes no value`)
    if (!isSwitch && (token.value === undefined || (!token.inlineValue && token.value.startsWith('--')))) {
      throw usage(`${flag} needs a value: ${spec.type.expected} (one that begins with dashes: ${flag}=…)`)
    }
    const text = token.value ?? 'true'
    const before = given.get(token.name)
    if (before !== undefined && spec.repeatable !== true) throw usage(`${flag} was given twice`)
    given.set(token.name, { where: flag, text: before === undefined ? text : `${before.text}\0${text}` })
  }
  return { given, arguments: positionals }
}
