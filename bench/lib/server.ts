// The product under test: `postrider serve` on ephemeral ports, alone with a store in a temporary folder, or in roles on a Redis.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startServer, temporaryFolder, type ServerProcess } from './child.js'
import { number, object, type Decoder } from './decode.js'
import type { Scope } from './scope.js'

const BIN = fileURLToPath(new URL('../../cli/bin/postrider.js', import.meta.url))
const READY_MS = 20_000
const HOST = '127.0.0.1'

const allPorts = object({ ports: object({ mqtt: number, http: number, admin: number }) })
const apiPorts = object({ ports: object({ http: number, admin: number }) })
const brokerPorts = object({ ports: object({ mqtt: number, admin: number }) })

export interface PostriderOptions {
  readonly durability: 'disk' | 'process'
  /** Where the data folder is made. */
  readonly dataRoot: string
  /** More flags of `serve`. */
  readonly flags?: readonly string[]
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
}

export interface Secrets {
  readonly apiKey: string
  readonly tokenSecret: string
}

export const newSecrets = (): Secrets => ({
  apiKey: randomBytes(32).toString('base64url'),
  tokenSecret: randomBytes(32).toString('base64url'),
})

interface Node<P> extends ServerProcess, Secrets {
  readonly host: string
  readonly ports: P
}

export type Postrider = Node<{ readonly mqtt: number; readonly http: number; readonly admin: number }>
export type ApiNode = Node<{ readonly http: number; readonly admin: number }>
export type BrokerNode = Node<{ readonly mqtt: number; readonly admin: number }>

export interface NodeOptions {
  readonly store: string
  readonly secrets: Secrets
  readonly flags?: readonly string[]
  readonly nodeFlags?: readonly string[]
  /** Another build's `cli/bin/postrider.js`. Default: this one's. */
  readonly program?: string
}

/** Starts a process and waits until it serves. Settings of the caller's environment do not reach it. */
async function start<P>(
  scope: Scope,
  ready: Decoder<{ readonly ports: P }>,
  { store, secrets, flags = [], nodeFlags = [], program = BIN }: NodeOptions,
): Promise<Node<P>> {
  if (!existsSync(program)) throw new Error(`${program} does not exist`)
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('POSTRIDER_'))
  const ports = ['--mqtt-port', '--ws-port', '--http-port', '--admin-port'].flatMap((flag) => [flag, '0'])
  const fixed = ['--host', HOST, '--store', store, '--log-level', 'warn']
  const server = startServer(
    scope,
    'postrider serve',
    process.execPath,
    [...nodeFlags, program, 'serve', ...fixed, ...ports, ...flags],
    {
      ...Object.fromEntries(inherited),
      POSTRIDER_API_KEY: secrets.apiKey,
      POSTRIDER_TOKEN_SECRET: secrets.tokenSecret,
    },
  )
  const line: unknown = JSON.parse(await server.firstLine(READY_MS))
  return { ...server, ...secrets, host: HOST, ports: ready(line, 'ready').ports }
}

/** One process with the embedded store. */
export function startPostrider(scope: Scope, options: PostriderOptions): Promise<Postrider> {
  const { durability, dataRoot, flags = [], nodeFlags = [] } = options
  return start(scope, allPorts, {
    store: `file:${temporaryFolder(scope, dataRoot)}`,
    secrets: newSecrets(),
    flags: ['--durability', durability, ...flags],
    nodeFlags,
  })
}

/** One process that does everything, on any store. */
export const startWholeNode = (scope: Scope, options: NodeOptions): Promise<Postrider> =>
  start(scope, allPorts, options)

/** A process that takes pushes, on a Redis. */
export const startApiNode = (scope: Scope, options: NodeOptions): Promise<ApiNode> =>
  start(scope, apiPorts, { ...options, flags: ['--role', 'api', ...(options.flags ?? [])] })

/** A process that serves devices, on a Redis. */
export const startBrokerNode = (scope: Scope, options: NodeOptions): Promise<BrokerNode> =>
  start(scope, brokerPorts, { ...options, flags: ['--role', 'broker', ...(options.flags ?? [])] })
