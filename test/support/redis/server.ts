// A real redis-server of the test's own: an ephemeral port on loopback, a temporary folder, ended by its pid.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

export const REDIS_SERVER = process.env['REDIS_SERVER_BIN'] ?? 'redis-server'

/** False: there is one. Else why the tests that need it are skipped. */
export const noRedis: string | false = (() => {
  const { stdout } = spawnSync(REDIS_SERVER, ['--version'], { encoding: 'utf8' })
  if (/ v=(?:[7-9]|\d\d)\./.test(stdout ?? '')) return false
  return 'redis-server 7 is not there: install it (Debian: apt-get install redis-server) or set REDIS_SERVER_BIN'
})()

export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly pid: number
  readonly folder: string
  /** For the test itself; ended with the server. */
  readonly admin: Redis
  /** Ends it, and starts it again on what it has on disk. */
  restart(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** As `restart` in two steps. */
  kill(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  start(): Promise<void>
  signal(signal: NodeJS.Signals): void
  stop(): Promise<void>
}

const SETTINGS = ['--save', '', '--bind', '127.0.0.1', '--enable-debug-command', 'yes', '--daemonize', 'no']

/** The system gives ports from 32,768 on to connections, also between the look and the use of a port. */
const FIRST_PORT = 12_000
const LAST_PORT = 32_000

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT))
    const probe = createServer().listen(port, '127.0.0.1')
    const free = await once(probe, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    await new Promise((resolve) => probe.close(resolve))
    return port
  }
}

/** `settings` go behind the ones that every test has: append-only file on, flushed every second. */
export async function startRedis(settings: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'postrider-redis-'))
  const port = await freePort()
  const args = [
    '--port',
    String(port),
    '--dir',
    folder,
    '--logfile',
    join(folder, 'log'),
    '--appendonly',
    'yes',
    ...SETTINGS,
    ...settings,
  ]
  const passwordAt = settings.indexOf('--requirepass')
  const admin = new Redis({
    port,
    lazyConnect: true,
    retryStrategy: () => 20,
    maxRetriesPerRequest: null,
    ...(passwordAt < 0 ? {} : { password: settings[passwordAt + 1] ?? '' }),
  })
  admin.on('error', () => undefined)
  let child: ChildProcess | null = null

  async function start(): Promise<void> {
    child = spawn(REDIS_SERVER, args, { stdio: 'ignore' })
    const ended = once(child, 'exit')
    if (admin.status === 'wait') admin.connect().catch(() => undefined)
    const answered = admin.ping()
    const first = await Promise.race([answered, ended.then(() => 'ended')])
    if (first === 'ended') throw new Error(`redis-server ended at once: ${args.join(' ')}`)
  }
  async function kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = child
    child = null
    if (running === null || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    running.kill(signal)
    running.kill('SIGCONT')
    await ended
  }
  let stopping: Promise<void> | null = null
  async function stop(): Promise<void> {
    admin.disconnect()
    await kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    // Nothing stays that would keep the process waiting.
    await stop()
    throw error
  }
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get pid() {
      return child?.pid ?? 0
    },
    folder,
    admin,
    restart: async (signal) => {
      await kill(signal)
      await start()
    },
    kill,
    start,
    signal: (signal) => child?.kill(signal),
    stop: () => (stopping ??= stop()),
  }
}
