// Starts the yardsticks of bench/comparators, each a process of its own.
import { fileURLToPath } from 'node:url'
import { startServer, temporaryFolder, type ServerProcess } from './child.js'
import { number, object } from './decode.js'
import type { Scope } from './scope.js'

const READY_MS = 20_000
const WRITERS_MS = 120_000
const httpReady = object({ ports: object({ http: number }) })
const mqttReady = object({ ports: object({ mqtt: number }) })
const throughput = object({ perSecond: number })
const quantiles = object({ p50: number, p99: number, p999: number })

function startComparator(scope: Scope, script: string, args: readonly string[]): ServerProcess {
  const path = fileURLToPath(new URL(`../comparators/${script}`, import.meta.url))
  return startServer(scope, script, process.execPath, ['--import', import.meta.resolve('tsx'), path, ...args])
}

/** Fastify with an LMDB put and flush per request. */
export async function startFastifyLmdb(scope: Scope, dataRoot: string): Promise<ServerProcess & { port: number }> {
  const server = startComparator(scope, 'fastify-lmdb.ts', [temporaryFolder(scope, dataRoot)])
  const line: unknown = JSON.parse(await server.firstLine(READY_MS))
  return { ...server, port: httpReady(line, 'ready').ports.http }
}

/** Aedes in memory, as its documentation starts it. */
export async function startBareAedes(scope: Scope): Promise<ServerProcess & { port: number }> {
  const server = startComparator(scope, 'bare-aedes.ts', [])
  const line: unknown = JSON.parse(await server.firstLine(READY_MS))
  return { ...server, port: mqttReady(line, 'ready').ports.mqtt }
}

/** Aedes with aedes-persistence-redis and mqemitter-redis, as their documentation starts them. */
export async function startStockAedes(scope: Scope, redisPort: number): Promise<ServerProcess & { port: number }> {
  const server = startComparator(scope, 'stock-aedes.ts', [String(redisPort)])
  const line: unknown = JSON.parse(await server.firstLine(READY_MS))
  return { ...server, port: mqttReady(line, 'ready').ports.mqtt }
}

/** Quantiles of paced puts, each flushed; milliseconds. */
export async function runPutFlush(
  scope: Scope,
  options: {
    readonly dataRoot: string
    readonly rate: number
    readonly records: number
    readonly recordBytes: number
  },
): Promise<{ p50: number; p99: number; p999: number }> {
  const { dataRoot, rate, records, recordBytes } = options
  const args = [temporaryFolder(scope, dataRoot), ...[rate, records, recordBytes].map(String)]
  const loop = startComparator(scope, 'put-flush.ts', args)
  const line: unknown = JSON.parse(await loop.firstLine((records / rate) * 1000 + 30_000))
  return quantiles(line, 'put-flush')
}

/** Puts per second of so many writers, each of which waits for its flush before its next put. */
export async function runPutFlushWriters(
  scope: Scope,
  options: {
    readonly dataRoot: string
    readonly writers: number
    readonly records: number
    readonly recordBytes: number
  },
): Promise<number> {
  const { dataRoot, writers, records, recordBytes } = options
  const args = [temporaryFolder(scope, dataRoot), ...[0, records, recordBytes, writers].map(String)]
  const line: unknown = JSON.parse(await startComparator(scope, 'put-flush.ts', args).firstLine(WRITERS_MS))
  return throughput(line, 'put-flush').perSecond
}
