import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { EXIT } from '../../core/exit-codes.js'
import { readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { writeLine } from '../output.js'

const SETTINGS = { store: SERVER_OPTIONS.store, bus: SERVER_OPTIONS.bus } as const

async function run(io: CommandIo): Promise<number> {
  const [action, ...argv] = io.argv
  if (action !== 'new') throw usageError('postrider generation needs the word new first (postrider generation --help)')
  const read = readCommand({ ...io, argv }, { command: 'generation', flags: {}, settings: SETTINGS, arguments: [] })
  const { store, bus } = read.settings
  const { beginGeneration } = await import('../compose-store-care.js')
  const where = await beginGeneration({ store, bus })
  await writeLine(
    io.stderr,
    `${where} is a new generation: the next message to each device begins a new epoch, and a device that has seen more than the store knows is told so`,
  )
  return EXIT.ok.code
}

export const generationCommand: Command = {
  name: 'generation',
  summary: 'make a store that was restored from a backup a new generation',
  usage: 'new',
  details: [
    'For a store that was put back to an older state, before anything serves it again: no new message is then taken for one that',
    'was lost. Refused while the store is served. Not needed for a copy that postrider backup made: it does this by itself.',
  ],
  options: SETTINGS,
  run,
}
