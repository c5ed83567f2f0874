import { isUtf8 } from 'node:buffer'
import { buffer } from 'node:stream/consumers'
import { option, optional, type Values } from '../../core/config/option.js'
import { choice, seconds, text, toggle, type ValueType } from '../../core/config/value-types.js'
import { EXIT } from '../../core/exit-codes.js'
import { REST_OPTIONS } from '../client-options.js'
import { readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { connectRest, deviceArgument } from '../connect-rest.js'
import { writeLine } from '../output.js'
import { devicePath } from '../rest-client.js'

/** `k=v` pairs, joined by NUL when the flag was given more than once; the last one of a key counts. */
const attributes: ValueType<ReadonlyMap<string, string>> = {
  placeholder: 'KEY=VALUE',
  expected: 'a key, "=" and a value',
  parse: (raw) => {
    const pairs = raw
      .split('\0')
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const)
    return raw.split('\0').every((pair) => pair.indexOf('=') > 0) ? new Map(pairs) : undefined
  },
  format: (value) => [...value].map(([key, item]) => `${key}=${item}`).join(' '),
}

const FLAGS = {
  dedupId: optional<string>({
    type: text('ID', 'a text of 1 to 256 characters'),
    doc: 'Names the message: sent again with the same id, it is still one message',
  }),
  ttl: optional<number>({
    type: seconds({ min: 1, max: 365 * 86_400 }),
    doc: 'Give the message up when it was not handled by then',
  }),
  contentType: optional<string>({
    type: text('TYPE', 'a media type'),
    doc: 'The content type; else text/plain, or application/octet-stream for bytes that are no text',
  }),
  attribute: optional<ReadonlyMap<string, string>>({
    type: attributes,
    repeatable: true,
    doc: 'An attribute of the message; may be given many times',
  }),
  priority: option<'normal' | 'high'>({
    type: choice(['normal', 'high']),
    default: 'normal',
    doc: 'How soon acknowledgements go; never the order',
  }),
  base64: option<boolean>({ type: toggle(), default: false, doc: 'The payload is base64 of the bytes to send' }),
} as const

type PushFlags = Values<typeof FLAGS>

/** Exactly these bytes: as text where they are text, since that can be read in a peek, else as base64. */
function payloadField(bytes: Buffer): Readonly<Record<string, string>> {
  return isUtf8(bytes) ? { payload: bytes.toString('utf8') } : { payloadBase64: bytes.toString('base64') }
}

async function payloadOf(io: CommandIo, argument: string, base64: boolean): Promise<Readonly<Record<string, string>>> {
  const bytes = argument === '-' ? await buffer(io.stdin) : Buffer.from(argument, 'utf8')
  if (!base64) return payloadField(bytes)
  const compact = bytes.toString('latin1').replace(/\s+/g, '')
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(compact)) {
    throw usageError('--base64: the payload is not base64')
  }
  return { payloadBase64: compact }
}

/** The request; only what was asked for is in it. */
function messageBody(flags: PushFlags, payload: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  return {
    ...payload,
    ...(flags.dedupId === undefined ? {} : { dedupId: flags.dedupId }),
    ...(flags.ttl === undefined ? {} : { ttl: flags.ttl }),
    ...(flags.contentType === undefined ? {} : { contentType: flags.contentType }),
    ...(flags.attribute === undefined ? {} : { attributes: Object.fromEntries(flags.attribute) }),
    ...(flags.priority === 'normal' ? {} : { priority: flags.priority }),
  }
}

async function run(io: CommandIo): Promise<number> {
  const read = readCommand(io, {
    command: 'push',
    flags: FLAGS,
    settings: REST_OPTIONS,
    arguments: ['<device>', '<payload>'],
  })
  const device = deviceArgument(read.arguments[0])
  const rest = await connectRest(read.settings, io.env)
  const payload = await payloadOf(io, read.arguments[1] ?? '', read.flags.base64)
  const { body } = await rest.call('POST', `${devicePath(device)}/messages`, { body: messageBody(read.flags, payload) })
  await writeLine(io.stdout, JSON.stringify(body))
  return EXIT.ok.code
}

export const pushCommand: Command = {
  name: 'push',
  summary: 'push a message to a device',
  usage: '<device> <payload>',
  details: [
    'The payload is sent as it is; "-" reads it from stdin. Put -- before one that begins with a dash.',
    'Prints the answer as one line of JSON: {"device":"phone-1","seq":1,"epoch":"…"}. The message is stored then.',
  ],
  options: { ...FLAGS, ...REST_OPTIONS },
  run,
}
