import type { Readable, Writable } from 'node:stream'
import { readFlags, type FlagRules } from '../core/config/read-flags.js'
import { readEnvironment, type Environment } from '../core/config/read-environment.js'
import { resolveOptions } from '../core/config/resolve-options.js'
import type { OptionTable, Values } from '../core/config/option.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'

/** What a command has of the outside world. */
export interface CommandIo {
  /** Without the interpreter and the script; for a command also without its own name. */
  readonly argv: readonly string[]
  readonly env: Environment
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
  readonly version: string
}

export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What follows the name: `<device> <payload>`. */
  readonly usage: string
  /** More for its own help: what it prints, examples. */
  readonly details: readonly string[]
  readonly options: OptionTable
  /** Resolves to the exit code. Rejects with StartupError or CommandFailure, which are printed without a stack. */
  run(io: CommandIo): Promise<number>
}

/** A command that could not do what was asked; `message` is for the user. Never holds a secret. */
export class CommandFailure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode: number, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CommandFailure'
    this.exitCode = exitCode
  }
}

export const usageError = (message: string): StartupError => new StartupError(message, { exitCode: EXIT.usage.code })

/**
 * Reads the command line of a client command. `flags` may be given as flags only, `settings` also in the environment.
 * `names`: the arguments it takes, all of them needed.
 */
export function readCommand<F extends OptionTable, S extends OptionTable>(
  io: CommandIo,
  spec: {
    readonly command: string
    readonly flags: F
    readonly settings: S
    readonly arguments: readonly string[]
    readonly rules?: Omit<FlagRules, 'help'>
  },
): { readonly flags: Values<F>; readonly settings: Values<S>; readonly arguments: readonly string[] } {
  const help = `postrider ${spec.command} --help`
  const read = readFlags(io.argv, { ...spec.flags, ...spec.settings }, { ...spec.rules, help })
  const missing = spec.arguments[read.arguments.length]
  if (missing !== undefined) throw usageError(`postrider ${spec.command} needs a ${missing} (${help})`)
  const extra = read.arguments[spec.arguments.length]
  if (extra !== undefined) {
    throw usageError(`postrider ${spec.command}: "${extra}" is one argument too many (${help}); quote what has spaces`)
  }
  return {
    flags: resolveOptions(spec.flags, [read.given]).values,
    settings: resolveOptions(spec.settings, [read.given, readEnvironment(io.env, spec.settings)]).values,
    arguments: read.arguments,
  }
}
