import { optional } from '../../core/config/option.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { EXIT } from '../../core/exit-codes.js'
import { readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { writeLine } from '../output.js'

const place = (doc: string) => optional<string>({ type: SERVER_OPTIONS.store.type, doc })

const SETTINGS = {
  from: place('The store as it is: as `--store` of the server says it'),
  to: place('The new store, which must be empty, or have been filled in part by a migration that was cut'),
  dedupWindow: SERVER_OPTIONS.dedupWindow,
  retention: SERVER_OPTIONS.retention,
  deviceIdle: SERVER_OPTIONS.deviceIdle,
  uplinkMax: SERVER_OPTIONS.uplinkMax,
  uplinkRetention: SERVER_OPTIONS.uplinkRetention,
  redisNoAof: SERVER_OPTIONS.redisNoAof,
} as const

async function run(io: CommandIo): Promise<number> {
  const { settings } = readCommand(io, { command: 'migrate', flags: {}, settings: SETTINGS, arguments: [] })
  const { from, to } = settings
  if (from === undefined || to === undefined)
    throw usageError('postrider migrate needs --from and --to (postrider migrate --help)')
  if (from === to) throw usageError('postrider migrate: --from and --to are the same store')
  const progress = (devices: number): void => void io.stderr.write(`${devices} devices\n`)
  const { runMigration } = await import('../compose-migration.js')
  const done = await runMigration({ ...settings, from, to }, progress)
  await writeLine(io.stdout, JSON.stringify(done))
  return EXIT.ok.code
}

export const migrateCommand: Command = {
  name: 'migrate',
  summary: 'move devices, messages, keys, uplink and webhooks from one store to another, while neither is served',
  usage: '--from STORE --to STORE',
  details: [
    'Devices with positions, waiting messages and dedup ids, API keys, revocations, uplink, webhooks. Devices go on where they were,',
    'without a reset. Stop every node first; if the command is cut, run it again. The old store is left as it is: serve only one of',
    'the two afterwards. Prints what was moved as one line of JSON. Give the settings that the server has where they are not defaults.',
  ],
  options: SETTINGS,
  run,
}
