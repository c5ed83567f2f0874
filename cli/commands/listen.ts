import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../../core/clock.js'
import { option, optional } from '../../core/config/option.js'
import { count, toggle } from '../../core/config/value-types.js'
import { EXIT } from '../../core/exit-codes.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { memoryStorage, PostriderError } from '../../sdk/node.js'
import { readAuthorities, trustHint } from '../authorities.js'
import { MQTT_OPTIONS, REST_OPTIONS } from '../client-options.js'
import { CommandFailure, readCommand, type Command, type CommandIo } from '../command.js'
import { deviceArgument } from '../connect-rest.js'
import { receivedAsJson, runDeviceSession, type Received } from '../device-session.js'
import { write, writeLine } from '../output.js'
import { createRestClient, devicePath, fields, type RestClient } from '../rest-client.js'
import { API_KEY_VARIABLE, findApiKey, findTokenSecrets, TOKEN_SECRET_VARIABLE } from '../secrets.js'
import { listenForStop } from '../stop-signals.js'

const FLAGS = {
  takeover: option<boolean>({
    type: toggle(),
    default: false,
    doc: 'Take the place of the device’s connection, if it has one: that one is closed',
  }),
  json: option<boolean>({ type: toggle(), default: false, doc: 'One JSON object a message: device, seq, payload …' }),
  count: optional<number>({ type: count({ min: 1, max: 1_000_000_000 }), doc: 'End after so many messages' }),
} as const

/** Life of a token that is signed here; each connection gets a new one. */
const TOKEN_TTL_SECONDS = 3_600
const RETRY_MIN_MS = 500
const RETRY_MAX_MS = 5_000

interface Access {
  /** Null: no API key, so the server cannot be asked. */
  readonly rest: RestClient | null
  token(): Promise<string | null>
}

async function accessTo(
  settings: { readonly url: string; readonly apiKey: string | undefined; readonly data: string },
  device: string,
  ca: string | null,
  env: CommandIo['env'],
): Promise<Access> {
  const apiKey = await findApiKey(settings.data, settings.apiKey, env)
  if (apiKey !== null) {
    const rest = createRestClient({ url: settings.url, apiKey, ca })
    return {
      rest,
      token: async () => {
        const answer = await rest.call('POST', `${devicePath(device)}/token`, { body: {}, accept: [400] })
        const { token, code } = fields(answer.body)
        if (typeof token === 'string') return token
        // A server with --auth none mints none, and asks for none.
        if (code === 'not_supported') return null
        throw new CommandFailure('the server gave no token', EXIT.failed.code)
      },
    }
  }
  const secrets = await findTokenSecrets(settings.data, env)
  if (secrets === null) {
    throw new CommandFailure(
      `no way to get a token: set ${API_KEY_VARIABLE} or ${TOKEN_SECRET_VARIABLE}, or name with --data the data folder of the server`,
      EXIT.noPermission.code,
    )
  }
  const tokens = createDeviceTokens({ secrets, maxTtlSeconds: TOKEN_TTL_SECONDS, clock: systemClock })
  return { rest: null, token: async () => (await tokens.sign(device, TOKEN_TTL_SECONDS)).token }
}

/** The node that the device is connected to; null: it is offline or not known. */
async function connectedTo(rest: RestClient, device: string): Promise<string | null> {
  const { online, node } = fields((await rest.call('GET', devicePath(device), { accept: [404] })).body)
  return online === true ? String(node) : null
}

function defaultMqttUrl(restUrl: string): string {
  const { protocol, hostname } = new URL(restUrl)
  return protocol === 'https:' ? `mqtts://${hostname}:8883` : `mqtt://${hostname}:1883`
}

async function listen(io: CommandIo, signal: AbortSignal, stop: () => void): Promise<number> {
  const read = readCommand(io, {
    command: 'listen',
    flags: FLAGS,
    settings: { ...REST_OPTIONS, ...MQTT_OPTIONS },
    arguments: ['<device>'],
    rules: { secrets: ['token-secret'] },
  })
  const device = deviceArgument(read.arguments[0])
  const { takeover, json, count: limit } = read.flags
  const url = read.settings.mqttUrl ?? defaultMqttUrl(read.settings.url)
  const ca = await readAuthorities(read.settings.ca)
  const access = await accessTo(read.settings, device, ca, io.env)
  const { rest } = access

  if (!takeover) {
    if (rest === null) {
      throw new CommandFailure(
        `without an API key the server cannot be asked whether ${device} is connected: set ${API_KEY_VARIABLE}, or say --takeover`,
        EXIT.noPermission.code,
      )
    }
    const node = await connectedTo(rest, device)
    if (node !== null) {
      throw new CommandFailure(
        `${device} is connected (to ${node}); --takeover closes its connection and takes its messages`,
        EXIT.failed.code,
      )
    }
  }

  let handled = 0
  async function handle(message: Received): Promise<void> {
    if (json) await writeLine(io.stdout, receivedAsJson(device, message))
    else await write(io.stdout, Buffer.concat([message.payload, Buffer.from('\n')]))
    handled += 1
    if (handled === limit) stop()
  }

  let listened = false
  let failures = 0
  /** Waits and asks, until the server answers; null: stopped meanwhile. */
  async function whenReachable<T>(ask: () => Promise<T>): Promise<{ readonly answer: T } | null> {
    while (await pause(Math.min(RETRY_MIN_MS * 2 ** failures++, RETRY_MAX_MS), signal)) {
      try {
        return { answer: await ask() }
      } catch (error) {
        if (!isUnreachable(error)) throw error
      }
    }
    return null
  }

  // That no token can be had is told before anything is connected; later it is a reason to wait, unless it will not get better.
  let first: string | null | undefined = await access.token()
  async function getToken(): Promise<string | null> {
    const token = first
    first = undefined
    if (token !== undefined) return token
    try {
      return await access.token()
    } catch (cause) {
      throw isUnreachable(cause) ? cause : new PostriderError('unauthorized', messageOf(cause), { cause })
    }
  }

  const storage = memoryStorage()
  for (;;) {
    const end = await runDeviceSession({
      url,
      device,
      getToken,
      ca,
      storage,
      signal,
      handle,
      onListening: () => {
        listened = true
        failures = 0
        io.stderr.write(`listening as ${device} at ${url}\n`)
      },
      goOn: (reason) => {
        if (!listened) return false
        io.stderr.write(`the connection ended: ${reason}; connecting again\n`)
        // Who may not take over looks first whether another connection is there now.
        return takeover || rest === null
      },
      onMissing: (what) => void io.stderr.write(`${what}\n`),
    })
    if (end.kind === 'stopped') return EXIT.ok.code
    if (end.kind === 'refused') {
      throw new CommandFailure(`${url} refused the connection: ${end.reason}`, EXIT.noPermission.code)
    }
    if (end.kind === 'lost' && (!listened || rest === null)) {
      throw new CommandFailure(
        `${url} cannot be reached: ${end.reason} (--mqtt-url says where${trustHint(end.reason)})`,
        EXIT.unavailable.code,
      )
    }
    const owner = rest === null ? null : await whenReachable(() => connectedTo(rest, device))
    if (end.kind === 'taken') {
      const where = owner === null || owner.answer === null ? '' : ` (at ${owner.answer})`
      throw new CommandFailure(`another connection took ${device}${where}`, EXIT.failed.code)
    }
    if (owner === null) return EXIT.ok.code
    // Somebody else's connection took the place of ours: to connect again would only throw that one out.
    if (owner.answer !== null) {
      throw new CommandFailure(`another connection took ${device} (at ${owner.answer})`, EXIT.failed.code)
    }
  }
}

const isUnreachable = (error: unknown): boolean =>
  error instanceof CommandFailure && error.exitCode === EXIT.unavailable.code

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** False: `signal` was aborted meanwhile. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal })
    return true
  } catch {
    return false
  }
}

async function run(io: CommandIo): Promise<number> {
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  const signals = listenForStop(systemClock, stop)
  try {
    return await listen(io, controller.signal, stop)
  } finally {
    signals.dispose()
  }
}

export const listenCommand: Command = {
  name: 'listen',
  summary: 'receive and acknowledge messages as a device',
  usage: '<device>',
  details: [
    'Connects as the device itself, with the SDK, prints each message as a line and acknowledges it then.',
    'Ends with SIGINT (Ctrl-C). A device that is connected already is left alone, unless --takeover is given.',
  ],
  options: { ...FLAGS, ...REST_OPTIONS, ...MQTT_OPTIONS },
  run,
}
