import { optional } from '../../core/config/option.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { text } from '../../core/config/value-types.js'
import { EXIT } from '../../core/exit-codes.js'
import { readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { writeLine } from '../output.js'

const FLAGS = {
  to: optional<string>({
    type: text('FOLDER', 'the path of a folder that does not exist yet'),
    doc: 'Where the copy goes: a folder that does not exist yet, in one that does',
  }),
} as const
const SETTINGS = { store: SERVER_OPTIONS.store } as const

async function run(io: CommandIo): Promise<number> {
  const read = readCommand(io, { command: 'backup', flags: FLAGS, settings: SETTINGS, arguments: [] })
  const { to } = read.flags
  if (to === undefined) throw usageError('postrider backup needs --to and a folder that does not exist yet')
  const { backUpFolder } = await import('../back-up-folder.js')
  const { folder, bytes, files } = await backUpFolder(read.settings.store, to)
  await writeLine(io.stdout, folder)
  await writeLine(
    io.stderr,
    `${bytes} bytes of store${files.map((name) => `, ${name}`).join('')}: keep the folder as secret as the data folder`,
  )
  return EXIT.ok.code
}

export const backupCommand: Command = {
  name: 'backup',
  summary: 'copy a file store, also while it is served',
  usage: '--to FOLDER',
  details: [
    'The copy is a data folder of its own: the store as it was at one moment, and the secrets that are kept beside it. It is there as a',
    'whole or not at all. Start a server on it to restore it; that server begins a new generation, and devices are told what is gone.',
  ],
  options: { ...FLAGS, ...SETTINGS },
  run,
}
