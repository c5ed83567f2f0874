import { once } from 'node:events'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { startServer, temporaryFolder } from './child.js'
import type { Scope } from './scope.js'

export interface BenchRedis {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly admin: Redis
}

/** A redis-server (from PATH, or REDIS_SERVER_BIN) of its own, which ends with `scope`. */
export async function startRedis(scope: Scope, settings: readonly string[]): Promise<BenchRedis> {
  const folder = temporaryFolder(scope)
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise((resolve) => probe.close(resolve))
  const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--logfile', 'redis.log']
  const server = startServer(scope, 'redis-server', process.env['REDIS_SERVER_BIN'] ?? 'redis-server', [
    ...place,
    ...settings,
  ])
  const admin = new Redis({ port, retryStrategy: () => 20, maxRetriesPerRequest: null })
  admin.on('error', () => undefined)
  scope.defer(() => admin.disconnect())
  await Promise.race([admin.ping(), server.failed])
  return { url: `redis://127.0.0.1:${port}`, port, pid: server.pid, admin }
}
