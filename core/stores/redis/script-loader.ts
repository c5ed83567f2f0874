// The one place where scripts are put together: the flags line, the libraries that a script names, its body. Constants and
// settings are put in where they are used: Redis begins every call at the script's first line, so a constant that was a local
// variable would be made anew each time, and be carried into every function that uses it.

import { createHash } from 'node:crypto'
import { OUTCOMES_MARK } from './reply-outcomes.js'
import { LIBRARIES, SCRIPTS } from './scripts.js'

export type ScriptName = keyof typeof SCRIPTS

export interface Script {
  readonly name: ScriptName
  readonly text: string
  /** SHA-1 of the text, by which Redis knows it. */
  readonly sha: string
}

/** Every script has one; it is made at start. */
export type Scripts = (name: ScriptName) => Script

/** Numbers and switches that the scripts are made for, so that no call has to bring them. */
export type ScriptSettings = Readonly<Record<string, number | boolean>>

const INCLUDE = /^--@include ([a-z-]+)$/
const FLAGS = /^-- flags: (none|[a-z, -]+?)(?: \(.*\))?$/

/** A line that gives names to numbers and texts for good. */
const CONSTANTS = /^local ([A-Z][A-Z0-9_]*(?:, [A-Z][A-Z0-9_]*)*) = ((?:\d+|'[^']*')(?:, (?:\d+|'[^']*'))*)(?: --.*)?$/
/** A text, a comment, a setting, or a name that may be a constant's. */
const TOKEN = /'(?:[^'\\]|\\.)*'|--.*|\bSETTINGS\.(?<setting>[A-Za-z]+)|(?<![.\w])(?<name>[A-Z][A-Z0-9_]*)\b/g

const isLibrary = (name: string): name is keyof typeof LIBRARIES => Object.hasOwn(LIBRARIES, name)

/** A script with this library can decide how messages leave their inbox. */
const DECIDES = '--@include log'

/** Only when something was decided the answer has more around it. */
const tellingOutcomes = (body: readonly string[]): readonly string[] => [
  ...LIBRARIES.outcomes.split('\n'),
  'local function answer()',
  ...body,
  'end',
  'local reply = answer()',
  'if not OUTCOMES then return reply end',
  `table.insert(OUTCOMES, 1, '${OUTCOMES_MARK}')`,
  'OUTCOMES[14] = reply',
  'return OUTCOMES',
]

/** Throws RangeError on a script that is not of the form; all are made at start. */
export function makeScript(name: ScriptName, settings: ScriptSettings): Script {
  const lines = SCRIPTS[name].split('\n')
  const flags = lines.map((line) => FLAGS.exec(line)?.[1]).find((found) => found !== undefined)
  if (flags === undefined) throw new RangeError(`the script ${name} says no flags`)
  const whole = lines.flatMap((line) => included(name, line))
  // Without the first line Redis would check nothing of the script; with it, it runs a script without flags only with memory left.
  const text = [
    flags === 'none' ? '#!lua' : `#!lua flags=${flags.replaceAll(' ', '')}`,
    ...putConstantsIn(lines.includes(DECIDES) ? tellingOutcomes(whole) : whole, settings),
  ].join('\n')
  return { name, text, sha: createHash('sha1').update(text).digest('hex') }
}

/** The lines, as many as before, so that an error's line number can be found. */
function putConstantsIn(lines: readonly string[], settings: ScriptSettings): readonly string[] {
  const constants = new Map<string, string>()
  const rest = lines.map((line) => {
    const [, names, values] = CONSTANTS.exec(line) ?? []
    if (names === undefined || values === undefined) return line
    const given = values.match(/\d+|'[^']*'/g) ?? []
    for (const [i, constant] of names.split(', ').entries()) {
      const value = given[i]
      if (value === undefined || constants.has(constant)) throw new RangeError(`the constant ${constant} is not one`)
      constants.set(constant, value)
    }
    return ''
  })
  return rest.map((line) =>
    line.replaceAll(TOKEN, (token, ...found) => {
      const groups: unknown = found.at(-1)
      const { setting, name } = isGroups(groups) ? groups : {}
      if (setting !== undefined) return String(settings[setting] ?? 'nil')
      return (name === undefined ? undefined : constants.get(name)) ?? token
    }),
  )
}

function isGroups(value: unknown): value is { readonly setting?: string; readonly name?: string } {
  return typeof value === 'object' && value !== null
}

/** The line, or those of the library that it names, with what that includes. */
function included(name: string, line: string): readonly string[] {
  const library = INCLUDE.exec(line)?.[1]
  if (library === undefined) return [line]
  if (!isLibrary(library)) throw new RangeError(`the script ${name} includes ${library}, which is not there`)
  const lines: readonly string[] = LIBRARIES[library].split('\n')
  return lines.flatMap((part) => included(name, part))
}

export function loadScripts(settings: ScriptSettings): Scripts {
  const names = Object.keys(SCRIPTS).filter((name): name is ScriptName => Object.hasOwn(SCRIPTS, name))
  const made = new Map(names.map((name) => [name, makeScript(name, settings)]))
  return (name) => {
    const script = made.get(name)
    if (script === undefined) throw new RangeError(`there is no script ${name}`)
    return script
  }
}
