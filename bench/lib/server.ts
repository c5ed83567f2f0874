// The product under test: `postrider serve` in an empty temporary data folder, on ephemeral ports.
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { startServer, temporaryFolder, type ServerProcess } from './child.js'
import { number, object } from './decode.js'
import type { Scope } from './scope.js'

const BIN = fileURLToPath(new URL('../../cli/bin/postrider.js', import.meta.url))
const READY_MS = 20_000

const readyLine = object({ ports: object({ mqtt: number, http: number, admin: number }) })

export interface PostriderOptions {
  readonly durability: 'disk' | 'process'
  /** Where the data folder is made. */
  readonly dataRoot: string
  /** More flags of `serve`. */
  readonly flags?: readonly string[]
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
}

export interface Postrider extends ServerProcess {
  readonly host: string
  readonly ports: { readonly mqtt: number; readonly http: number; readonly admin: number }
  readonly apiKey: string
  readonly tokenSecret: string
}

/** Starts the server and waits until it serves. Settings of the caller's environment do not reach it. */
export async function startPostrider(scope: Scope, options: PostriderOptions): Promise<Postrider> {
  if (!existsSync(BIN)) throw new Error(`${BIN} does not exist`)
  const data = temporaryFolder(scope, options.dataRoot)
  const apiKey = randomBytes(32).toString('base64url')
  const tokenSecret = randomBytes(32).toString('base64url')
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('POSTRIDER_'))
  const host = '127.0.0.1'
  const ports = ['--mqtt-port', '--ws-port', '--http-port', '--admin-port'].flatMap((flag) => [flag, '0'])
  const fixed = ['--host', host, '--store', `file:${data}`, '--durability', options.durability, '--log-level', 'warn']
  const server = startServer(
    scope,
    'postrider serve',
    process.execPath,
    [...(options.nodeFlags ?? []), BIN, 'serve', ...fixed, ...ports, ...(options.flags ?? [])],
    { ...Object.fromEntries(inherited), POSTRIDER_API_KEY: apiKey, POSTRIDER_TOKEN_SECRET: tokenSecret },
  )
  const line: unknown = JSON.parse(await server.firstLine(READY_MS))
  return { ...server, host, ports: readyLine(line, 'ready').ports, apiKey, tokenSecret }
}
