// A real server for tests: `postrider serve` as a process of its own, on ports of its own, over a folder of its own.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock } from '../../core/clock.js'
import { createDeviceTokens } from '../../core/security/device-tokens.js'
import { parseTokenSecrets } from '../../core/security/token-secrets.js'
import type { Acl } from '../../protocol/acl.js'
import type { Child, ExitStatus } from './child.js'
import { startCommand } from './command.js'

export interface ServerPorts {
  readonly mqtt: number
  readonly ws: number
  readonly http: number
  readonly admin: number
  readonly mqtts: number
  readonly wss: number
  readonly https: number
}

export interface ServerOptions {
  /** More flags, after those for folder and ports; a flag that is given here is not given twice. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** For Node itself, before the command. */
  readonly nodeFlags?: readonly string[]
  /** The command, if it is another one than what was built. */
  readonly program?: string
  /** The data folder; else a new one that is removed at the end of the test. */
  readonly folder?: string
}

export interface RestResult {
  readonly status: number
  /** The parsed body; undefined when there was none. */
  readonly body: unknown
  readonly headers: Headers
}

/** Port 0 for a listener that is off. */
function portsOf(line: string): ServerPorts {
  const message: unknown = JSON.parse(line)
  const ports: unknown = typeof message === 'object' && message !== null && 'ports' in message ? message.ports : null
  if (typeof ports !== 'object' || ports === null) throw new Error(`not a ready line: ${line}`)
  const entries = new Map<string, unknown>(Object.entries(ports))
  const port = (name: string): number => Number(entries.get(name) ?? 0)
  return {
    mqtt: port('mqtt'),
    ws: port('ws'),
    http: port('http'),
    admin: port('admin'),
    mqtts: port('mqtts'),
    wss: port('wss'),
    https: port('https'),
  }
}

export class TestServer {
  readonly folder: string
  readonly #t: Test
  readonly #options: ServerOptions
  #child: Child
  #ports: ServerPorts

  private constructor(t: Test, options: ServerOptions, folder: string, child: Child, ports: ServerPorts) {
    this.#t = t
    this.#options = options
    this.folder = folder
    this.#child = child
    this.#ports = ports
  }

  /** Starts a server and waits for its ready line. It is killed at the end of the test. */
  static async start(t: Test, options: ServerOptions = {}): Promise<TestServer> {
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'postrider-test-')))
    // Registered before the child's own teardown, and so run after it: tap runs them last one first.
    if (options.folder === undefined) t.teardown(() => rm(folder, { recursive: true, force: true }))
    const child = launch(t, folder, options, { mqtt: 0, ws: 0, http: 0, admin: 0, mqtts: 0, wss: 0, https: 0 })
    return new TestServer(t, options, folder, child, await untilReady(child))
  }

  get ports(): ServerPorts {
    return this.#ports
  }

  get pid(): number {
    return this.#child.pid
  }

  /** What it was started with, beside folder and ports. */
  get flags(): readonly string[] {
    return this.#options.flags ?? []
  }

  /** The process: its output, its end. */
  get child(): Child {
    return this.#child
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports.http}`
  }

  get adminUrl(): string {
    return `http://127.0.0.1:${this.#ports.admin}`
  }

  get mqttUrl(): string {
    return `mqtt://127.0.0.1:${this.#ports.mqtt}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.#ports.ws}/mqtt`
  }

  /** The key of the first start. */
  async apiKey(): Promise<string> {
    return this.#options.env?.['POSTRIDER_API_KEY'] ?? (await readFile(join(this.folder, 'api-key'), 'utf8')).trim()
  }

  /** A token for the device, signed here with the server's secret. */
  async token(device: string, ttlSeconds = 3_600, acl?: Partial<Acl>): Promise<string> {
    const given = this.#options.env?.['POSTRIDER_TOKEN_SECRET']
    const secrets = parseTokenSecrets(
      given ?? (await readFile(join(this.folder, 'token-secret'), 'utf8')),
      'the token secret of the test server',
    )
    const tokens = createDeviceTokens({ secrets, maxTtlSeconds: 30 * 86_400, clock: systemClock })
    return (await tokens.sign(device, ttlSeconds, acl)).token
  }

  /** One REST call with the server's key; never rejects for a status. */
  async rest(method: string, path: string, body?: unknown): Promise<RestResult> {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        authorization: `Bearer ${await this.apiKey()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    const parsed: unknown = text === '' ? undefined : JSON.parse(text)
    return { status: response.status, body: parsed, headers: response.headers }
  }

  /** Flags for a client command that shall speak to this server. */
  clientFlags(): readonly string[] {
    return ['--url', this.url, '--data', this.folder]
  }

  /** SIGTERM, and the end that it leads to. */
  stop(): Promise<ExitStatus> {
    return this.#child.kill('SIGTERM')
  }

  kill(signal: NodeJS.Signals): Promise<ExitStatus> {
    return this.#child.kill(signal)
  }

  /** Starts the server again, over the same folder and on the same ports. It must have ended. */
  async restart(options: Pick<ServerOptions, 'flags' | 'env' | 'program'> = {}): Promise<void> {
    if (this.#child.status === null) throw new Error('the server still runs')
    this.#child = launch(this.#t, this.folder, { ...this.#options, ...options }, this.#ports)
    this.#ports = await untilReady(this.#child)
  }
}

function launch(t: Test, folder: string, options: ServerOptions, ports: ServerPorts): Child {
  const given = options.flags ?? []
  const preset = [
    ['--store', `file:${folder}`],
    ['--mqtt-port', String(ports.mqtt)],
    ['--ws-port', String(ports.ws)],
    ['--http-port', String(ports.http)],
    ['--admin-port', String(ports.admin)],
  ].filter(([flag = '']) => !given.some((word) => word === flag || word.startsWith(`${flag}=`)))
  const { env, nodeFlags, program } = options
  return startCommand(t, ['serve', ...preset.flat(), ...given], {
    ...(env === undefined ? {} : { env }),
    ...(nodeFlags === undefined ? {} : { nodeFlags }),
    ...(program === undefined ? {} : { program }),
  })
}

async function untilReady(child: Child): Promise<ServerPorts> {
  await child.until('the ready line', ({ stdout }) => stdout.includes('\n'))
  return portsOf(child.stdout.slice(0, child.stdout.indexOf('\n')))
}
