// Debian's Mosquitto as the yardstick: in memory, unlimited windows and queues, a loopback port of its own.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startServer, temporaryFolder, type ServerProcess } from './child.js'
import type { Scope } from './scope.js'

const READY_MS = 10_000

export interface Mosquitto extends ServerProcess {
  readonly host: string
  readonly port: number
  readonly version: string
}

/** A port that was free a moment ago. */
async function freePort(host: string): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const address = server.address()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const settle = (result: boolean): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}

export async function startMosquitto(scope: Scope): Promise<Mosquitto> {
  // Debian installs it where only root's PATH looks.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` }
  const help = spawnSync('mosquitto', ['-h'], { env, encoding: 'utf8' })
  if (help.error !== undefined) throw new Error('mosquitto is not installed (Debian: apt-get install mosquitto)')
  const version = /mosquitto version (\S+)/.exec(help.stdout)?.[1] ?? 'unknown'
  const host = '127.0.0.1'
  const port = await freePort(host)
  const config = join(temporaryFolder(scope), 'mosquitto.conf')
  const settings = [
    `listener ${port} ${host}`,
    'allow_anonymous true',
    'persistence false',
    'max_inflight_messages 0',
    'max_queued_messages 0',
    'log_type error',
  ]
  writeFileSync(config, `${settings.join('\n')}\n`)
  const server = startServer(scope, 'mosquitto', 'mosquitto', ['-c', config], env)
  const deadline = performance.now() + READY_MS
  while (!(await Promise.race([answers(host, port), server.failed]))) {
    if (performance.now() > deadline) throw new Error('mosquitto did not become ready')
    await delay(20)
  }
  return { ...server, host, port, version }
}
