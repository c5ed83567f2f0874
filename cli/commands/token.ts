import { option, optional } from '../../core/config/option.js'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { seconds, type ValueType } from '../../core/config/value-types.js'
import { systemClock } from '../../core/clock.js'
import { EXIT } from '../../core/exit-codes.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { grantProblem } from '../../protocol/acl.js'
import { DATA_OPTION } from '../client-options.js'
import { CommandFailure, readCommand, usageError, type Command, type CommandIo } from '../command.js'
import { deviceArgument } from '../connect-rest.js'
import { writeLine } from '../output.js'
import { findTokenSecrets, TOKEN_SECRET_VARIABLE, tokenSecretFile } from '../secrets.js'

const DEFAULT_TTL = 30 * 86_400

/** Filters, joined by NUL when the flag was given more than once. */
const filters: ValueType<readonly string[]> = {
  placeholder: 'FILTER',
  expected: 'an MQTT filter that can be granted: not under inbox, stream or uplink, not one that begins with $',
  parse: (raw) => {
    const list = raw.split('\0')
    return list.every((filter) => grantProblem(filter) === null) ? list : undefined
  },
  format: (list) => list.join(' '),
}

const FLAGS = {
  ttl: option<number>({
    type: seconds({ min: 1, max: 10 * 365 * 86_400 }),
    default: DEFAULT_TTL,
    doc: 'How long the token lives; at most the server’s `--token-max-ttl`',
  }),
  aclPublish: optional<readonly string[]>({
    type: filters,
    repeatable: true,
    doc: 'Topics that the device may publish to, besides its own; may be given many times',
  }),
  aclSubscribe: optional<readonly string[]>({
    type: filters,
    repeatable: true,
    doc: 'Filters that the device may subscribe to, besides its own inbox; may be given many times',
  }),
} as const

const SETTINGS = { ...DATA_OPTION, tokenMaxTtl: SERVER_OPTIONS.tokenMaxTtl } as const

async function run(io: CommandIo): Promise<number> {
  const read = readCommand(io, {
    command: 'token',
    flags: FLAGS,
    settings: SETTINGS,
    arguments: ['<device>'],
    rules: { secrets: ['token-secret'] },
  })
  const device = deviceArgument(read.arguments[0])
  const { data, tokenMaxTtl } = read.settings
  const { ttl, aclPublish, aclSubscribe } = read.flags
  const isDefault = ttl === DEFAULT_TTL
  if (ttl > tokenMaxTtl && !isDefault) {
    throw usageError(`--ttl: ${ttl} seconds is over what servers take, --token-max-ttl ${tokenMaxTtl} seconds`)
  }
  const secrets = await findTokenSecrets(data, io.env)
  if (secrets === null) {
    throw new CommandFailure(
      `no token secret: set ${TOKEN_SECRET_VARIABLE}, or name with --data the folder that has ${tokenSecretFile(data)}`,
      EXIT.noPermission.code,
    )
  }
  const tokens = createDeviceTokens({ secrets, maxTtlSeconds: tokenMaxTtl, clock: systemClock })
  const acl = {
    ...(aclPublish === undefined ? {} : { publish: aclPublish }),
    ...(aclSubscribe === undefined ? {} : { subscribe: aclSubscribe }),
  }
  const grants = Object.keys(acl).length > 0 ? acl : undefined
  const { token } = await tokens.sign(device, Math.min(ttl, tokenMaxTtl), grants).catch((error: unknown) => {
    // What is left of its conditions: too many filters, or too long ones together.
    throw error instanceof RangeError ? usageError(error.message) : error
  })
  await writeLine(io.stdout, token)
  return EXIT.ok.code
}

export const tokenCommand: Command = {
  name: 'token',
  summary: 'make a token for a device, signed here with the token secret',
  usage: '<device>',
  details: [
    'Prints the token alone, so that TOKEN="$(postrider token phone-1)" holds it. No server is asked.',
    `The secret: ${TOKEN_SECRET_VARIABLE}, else the file token-secret in the data folder.`,
  ],
  options: { ...FLAGS, ...SETTINGS },
  run,
}
