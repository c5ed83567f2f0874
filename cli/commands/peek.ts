import { option } from '../../core/config/option.js'
import { count, toggle } from '../../core/config/value-types.js'
import { EXIT } from '../../core/exit-codes.js'
import { REST_OPTIONS } from '../client-options.js'
import { readCommand, type Command, type CommandIo } from '../command.js'
import { connectRest, deviceArgument } from '../connect-rest.js'
import { write, writeLine } from '../output.js'
import { devicePath, fields } from '../rest-client.js'

const FLAGS = {
  limit: option<number>({
    type: count({ min: 1, max: 1_000_000 }),
    default: 100,
    doc: 'Show at most so many messages',
  }),
  json: option<boolean>({
    type: toggle(),
    default: false,
    doc: 'One JSON object a message, with everything known of it',
  }),
} as const

/** The most that is asked for in one call. */
const PAGE = 100

async function print(io: CommandIo, message: unknown, json: boolean): Promise<void> {
  if (json) return writeLine(io.stdout, JSON.stringify(message))
  const { seq, payload, payloadBase64 } = fields(message)
  const content =
    typeof payloadBase64 === 'string'
      ? Buffer.from(payloadBase64, 'base64')
      : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload))
  return write(io.stdout, Buffer.concat([Buffer.from(`${String(seq)}\t`), content, Buffer.from('\n')]))
}

async function run(io: CommandIo): Promise<number> {
  const read = readCommand(io, { command: 'peek', flags: FLAGS, settings: REST_OPTIONS, arguments: ['<device>'] })
  const device = deviceArgument(read.arguments[0])
  const { limit, json } = read.flags
  const rest = await connectRest(read.settings, io.env)
  let after: string | null = null
  let left = limit
  do {
    const query = new URLSearchParams({ limit: String(Math.min(left, PAGE)), ...(after === null ? {} : { after }) })
    const page = fields((await rest.call('GET', `${devicePath(device)}/messages?${query.toString()}`)).body)
    const messages: readonly unknown[] = Array.isArray(page['messages']) ? page['messages'] : []
    for (const message of messages) await print(io, message, json)
    left -= messages.length
    after = typeof page['next'] === 'string' ? page['next'] : null
  } while (after !== null && left > 0)
  return EXIT.ok.code
}

export const peekCommand: Command = {
  name: 'peek',
  summary: 'look at what waits for a device; acknowledges nothing',
  usage: '<device>',
  details: ['Prints a line for each message: its seq, a tab, its payload.'],
  options: { ...FLAGS, ...REST_OPTIONS },
  run,
}
