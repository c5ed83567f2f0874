import { nearest } from '../core/config/nearest.js'
import { StartupError } from '../core/errors.js'
import { EXIT } from '../core/exit-codes.js'
import { CommandFailure, usageError, type Command, type CommandIo } from './command.js'
import { backupCommand } from './commands/backup.js'
import { generationCommand } from './commands/generation.js'
import { keyCommand } from './commands/key.js'
import { listenCommand } from './commands/listen.js'
import { migrateCommand } from './commands/migrate.js'
import { peekCommand } from './commands/peek.js'
import { pushCommand } from './commands/push.js'
import { serveCommand } from './commands/serve.js'
import { tokenCommand } from './commands/token.js'
import { commandHelp, mainHelp } from './help.js'

export const COMMANDS: readonly Command[] = [
  serveCommand,
  tokenCommand,
  keyCommand,
  pushCommand,
  listenCommand,
  peekCommand,
  backupCommand,
  generationCommand,
  migrateCommand,
]

const HELP = new Set(['--help', '-h', 'help'])

/** True when help is asked for before `--` ends the flags. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? argv.length : end).some((word) => word === '--help' || word === '-h')
}

async function dispatch(io: CommandIo): Promise<number> {
  const [name, ...argv] = io.argv
  if (name === undefined) {
    io.stderr.write(mainHelp(COMMANDS, io.version))
    return EXIT.usage.code
  }
  if (name === '--version' || name === '-V') {
    io.stdout.write(`${io.version}\n`)
    return EXIT.ok.code
  }
  const asked = HELP.has(name) ? argv[0] : name
  if (asked === undefined) {
    io.stderr.write(mainHelp(COMMANDS, io.version))
    return EXIT.ok.code
  }
  const command = COMMANDS.find((each) => each.name === asked)
  if (command === undefined) {
    const meant = nearest(
      asked,
      COMMANDS.map((each) => each.name),
    )
    throw usageError(`"${asked}" is no command${meant === null ? '' : `; did you mean ${meant}?`} (postrider --help)`)
  }
  if (HELP.has(name) || asksForHelp(argv)) {
    io.stderr.write(commandHelp(command))
    return EXIT.ok.code
  }
  return command.run({ ...io, argv })
}

/**
 * The `postrider` command. Resolves to the exit code (core/exit-codes.ts); what went wrong is one line on stderr, with a
 * stack only when it is the program's fault.
 */
export async function main(io: CommandIo): Promise<number> {
  // A reader that went away (`| head`): the write that finds it out is rejected where it is made.
  for (const stream of [io.stdout, io.stderr]) stream.on('error', () => undefined)
  try {
    return await dispatch(io)
  } catch (error) {
    if (error instanceof StartupError || error instanceof CommandFailure) {
      io.stderr.write(`postrider: ${error.message}\n`)
      return error.exitCode
    }
    io.stderr.write(`postrider: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return EXIT.crashed.code
  }
}
