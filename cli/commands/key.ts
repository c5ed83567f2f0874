import { option } from '../../core/config/option.js'
import type { ValueType } from '../../core/config/value-types.js'
import { EXIT } from '../../core/exit-codes.js'
import { SCOPES, type Scope } from '../../core/ports/credentials.js'
import { isScope } from '../../core/security/scopes.js'
import { REST_OPTIONS } from '../client-options.js'
import { CommandFailure, readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { connectRest } from '../connect-rest.js'
import { writeLine } from '../output.js'
import { fields } from '../rest-client.js'

const scopeList: ValueType<readonly Scope[]> = {
  placeholder: 'LIST',
  expected: `a comma list of ${SCOPES.join(', ')}`,
  parse: (raw) => {
    const words = raw.split(',').map((word) => word.trim())
    return words.every(isScope) ? [...new Set(words)].filter(isScope) : undefined
  },
  format: (value) => value.join(','),
}

const FLAGS = {
  scopes: option<readonly Scope[]>({
    type: scopeList,
    default: ['push', 'read'],
    doc: 'For `create`: what the key may do, a comma list of `push`, `read` and `admin`; `admin` implies the others',
  }),
} as const

async function create(io: CommandIo): Promise<number> {
  const read = readCommand(io, { command: 'key', flags: FLAGS, settings: REST_OPTIONS, arguments: ['<name>'] })
  const rest = await connectRest(read.settings, io.env)
  const body = { name: read.arguments[0], scopes: read.flags.scopes }
  const { key, id } = fields((await rest.call('POST', '/v1/keys', { body })).body)
  if (typeof key !== 'string' || typeof id !== 'string') {
    throw new CommandFailure('the server answered without a key', EXIT.failed.code)
  }
  await writeLine(io.stdout, key)
  await writeLine(
    io.stderr,
    `key ${id} has the scopes ${read.flags.scopes.join(', ')}; it is shown this once (postrider key revoke ${id} ends it)`,
  )
  return EXIT.ok.code
}

async function list(io: CommandIo): Promise<number> {
  const read = readCommand(io, { command: 'key', flags: {}, settings: REST_OPTIONS, arguments: [] })
  const rest = await connectRest(read.settings, io.env)
  const { keys } = fields((await rest.call('GET', '/v1/keys')).body)
  for (const key of Array.isArray(keys) ? keys : []) await writeLine(io.stdout, JSON.stringify(key))
  return EXIT.ok.code
}

async function revoke(io: CommandIo): Promise<number> {
  const read = readCommand(io, { command: 'key', flags: {}, settings: REST_OPTIONS, arguments: ['<id>'] })
  const [id = ''] = read.arguments
  if (id.startsWith('prk_')) throw usageError('key revoke takes the id of a key (key list shows them), not the key')
  const rest = await connectRest(read.settings, io.env)
  const { status } = await rest.call('DELETE', `/v1/keys/${encodeURIComponent(id)}`, { accept: [404] })
  if (status === 404) throw new CommandFailure(`there is no key ${id}`, EXIT.failed.code)
  await writeLine(io.stderr, `key ${id} is revoked`)
  return EXIT.ok.code
}

const ACTIONS = new Map([
  ['create', create],
  ['list', list],
  ['revoke', revoke],
])

async function run(io: CommandIo): Promise<number> {
  const [action = '', ...argv] = io.argv
  const act = ACTIONS.get(action)
  if (act === undefined) {
    throw usageError(`postrider key needs one of create <name>, list, revoke <id> first (postrider key --help)`)
  }
  return act({ ...io, argv })
}

export const keyCommand: Command = {
  name: 'key',
  summary: 'make, list and revoke API keys',
  usage: 'create <name> | list | revoke <id>',
  details: [
    'create prints the key alone; it cannot be shown again. list prints one JSON object a line, without the keys.',
    'All three need a key with the scope admin.',
  ],
  options: { ...FLAGS, ...REST_OPTIONS },
  run,
}
