// Devices in processes of their own, and what they tell.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { bundle } from '../bundle.js'
import { isFleetNews, type FleetCommand, type FleetOrder } from './fleet-order.js'
import type { History } from './history.js'
import { machineNow } from './machine-time.js'

const CHILD = fileURLToPath(new URL('./fleet-child.ts', import.meta.url))

export interface FleetOptions {
  readonly port: number
  /** Default: the port. */
  readonly urls?: readonly string[]
  /** SDK devices as they are: their own delays, and nothing that outlives the process. Default: quick, and with files. */
  readonly patient?: boolean
  readonly plain: readonly string[]
  readonly sdk: readonly string[]
  readonly processes: number
  readonly tokenSecret: string
  readonly history: History
}

class FleetProcess {
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  ready = 0
  missing: readonly string[] = []
  newsAt = 0
  complaints = ''

  constructor(program: string, order: FleetOrder, history: History) {
    const { NODE_OPTIONS: _loader, ...env } = process.env
    this.child = spawn(process.execPath, [program, JSON.stringify(order)], {
      env,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced',
    })
    this.ended = once(this.child, 'exit')
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text
    })
    this.child.on('message', (news) => {
      if (!isFleetNews(news)) return
      this.ready = news.ready
      this.missing = news.missing
      this.newsAt = machineNow()
      for (const event of news.events) history.take(event)
    })
  }

  tell(command: FleetCommand): void {
    this.child.send(command)
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

const share = (ids: readonly string[], index: number, of: number): readonly string[] =>
  ids.filter((_id, i) => i % of === index)

export class Fleet {
  readonly #processes: readonly FleetProcess[]
  readonly size: number

  private constructor(processes: readonly FleetProcess[], size: number) {
    this.#processes = processes
    this.size = size
  }

  /** They begin to connect, and end with the test. */
  static async start(t: Test, options: FleetOptions): Promise<Fleet> {
    const { port, plain, sdk, processes, tokenSecret, history, patient = false } = options
    const { urls = [`mqtt://127.0.0.1:${port}`] } = options
    for (const id of plain) history.device(id, 'plain')
    for (const id of sdk) history.device(id, 'sdk')
    const program = await bundle(t, CHILD)
    const folder = await mkdtemp(join(tmpdir(), 'postrider-fleet-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const started = Array.from({ length: processes }, (_, i) => {
      const mine = { plain: share(plain, i, processes), sdk: share(sdk, i, processes) }
      const order = { port, urls, ...mine, tokenSecret, folder: patient ? null : folder, patient }
      return new FleetProcess(program, order, history)
    })
    t.teardown(() => Promise.all(started.map((each) => each.end())))
    return new Fleet(started, plain.length + sdk.length)
  }

  /** Connected and subscribed, a moment ago. */
  get ready(): number {
    return this.#processes.reduce((sum, { ready }) => sum + ready, 0)
  }

  /** When the oldest of what is known was told. */
  get newsAt(): number {
    return Math.min(...this.#processes.map(({ newsAt }) => newsAt))
  }

  tell(command: FleetCommand): void {
    for (const each of this.#processes) each.tell(command)
  }

  describe(): string {
    return this.#processes.map(({ missing, complaints }) => `${missing.join()} ${complaints}`).join('\n')
  }
}
