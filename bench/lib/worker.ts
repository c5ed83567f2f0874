// The outer end of a worker process: starts it, calls it, ends it.
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { entries, number, string, type Decoder } from './decode.js'
import type { Scope } from './scope.js'

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

export class Worker {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0

  /** `script` is a path relative to this folder. The process ends with `scope`. */
  constructor(scope: Scope, script: string) {
    this.#name = script
    this.#child = fork(fileURLToPath(new URL(script, import.meta.url)), [], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#child.on('message', (message: unknown) => this.#answered(message))
    this.#child.once('error', (error) => this.#ended(error.message))
    this.#child.once('exit', (code, signal) => this.#ended(`ended with ${signal ?? code}`))
    scope.defer(() => this.stop())
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Calls the worker; rejects when the call fails or the worker ends. */
  async call<T>(name: string, argument: unknown, decode: Decoder<T>): Promise<T> {
    const id = ++this.#calls
    const result = await new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.send({ id, name, argument }, (error) => {
        if (error !== null) this.#ended(error.message)
      })
    })
    return decode(result, `${this.#name} ${name}`)
  }

  /** Ends the process, by its pid, and waits for its end. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.kill('SIGKILL')
    await ended
  }

  #answered(message: unknown): void {
    const reply = entries(message, 'reply')
    const id = number(reply.get('id'), 'reply.id')
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (reply.has('error')) waiting?.reject(new Error(`${this.#name}: ${string(reply.get('error'), 'reply.error')}`))
    else waiting?.resolve(reply.get('result'))
  }

  #ended(why: string): void {
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`${this.#name} ${why}`))
    this.#waiting.clear()
  }
}
