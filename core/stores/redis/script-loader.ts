// The one place where scripts are put together: the flags line, the settings, the libraries that a script names, its body.

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

const isLibrary = (name: string): name is keyof typeof LIBRARIES => Object.hasOwn(LIBRARIES, name)

/** A script with this library can decide how messages leave their inbox. */
const DECIDES = '--@include log'

/** Only when something was decided the answer has more around it. */
const tellingOutcomes = (body: readonly string[]): readonly string[] => [
  LIBRARIES.outcomes,
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
  const values = Object.entries(settings).map(([key, value]) => `${key} = ${String(value)}`)
  const body = lines.map((line) => {
    const library = INCLUDE.exec(line)?.[1]
    if (library === undefined) return line
    if (!isLibrary(library)) throw new RangeError(`the script ${name} includes ${library}, which is not there`)
    return LIBRARIES[library]
  })
  const text = [
    // Without this line Redis would check nothing of the script; with it, it runs a script without flags only with memory left.
    flags === 'none' ? '#!lua' : `#!lua flags=${flags}`,
    `local SETTINGS = { ${values.join(', ')} }`,
    ...(lines.includes(DECIDES) ? tellingOutcomes(body) : body),
  ].join('\n')
  return { name, text, sha: createHash('sha1').update(text).digest('hex') }
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
