// One worker's place in the parent: the process that has it now, what it was asked, and another process after it.

import type { Worker } from 'node:cluster'
import type { Ports } from '../compose.js'
import { RestartDelay } from './restart-delay.js'
import { readReport, type Order, type Question, type Report } from './worker-messages.js'

/** A worker that does not answer by then is left out. */
const ANSWER_MS = 2_000

/** A worker ended before it served. */
export class WorkerEnded extends Error {
  readonly end: WorkerEnd

  constructor(number: number, end: WorkerEnd) {
    super(`worker ${number} ended before it served (${end.signal ?? `exit code ${end.code}`})`)
    this.name = 'WorkerEnded'
    this.end = end
  }
}

export interface WorkerEnd {
  readonly code: number | null
  readonly signal: string | null
}

export interface SeatOptions {
  readonly number: number
  /** Starts the process of a worker. */
  readonly fork: (number: number) => Worker
  readonly monotonic: () => number
  /** Its process has ended. `restartMs`: when the next one is good to be started. */
  readonly onEnd: (seat: WorkerSeat, end: WorkerEnd, restartMs: number) => void
}

export class WorkerSeat {
  readonly number: number
  readonly #options: SeatOptions
  readonly #delay = new RestartDelay()
  #worker: Worker | null = null
  #serving = false
  #run = 0
  #startedAt = 0
  /** For a worker that comes up too late to hear it. */
  #ordered: 'drain' | 'hurry' | null = null
  #lastId = 0
  readonly #asked = new Map<number, (report: Report) => void>()

  constructor(options: SeatOptions) {
    this.number = options.number
    this.#options = options
  }

  /** How many processes have had this place. */
  get run(): number {
    return this.#run
  }

  get running(): boolean {
    return this.#worker !== null
  }

  get serving(): boolean {
    return this.#serving
  }

  /** Resolves when it serves. Rejects with WorkerEnded; `onEnd` is called in any case. */
  start(): Promise<Ports> {
    const { fork, monotonic, number, onEnd } = this.#options
    const worker = fork(number)
    this.#worker = worker
    this.#run++
    this.#startedAt = monotonic()
    return new Promise((resolve, reject) => {
      worker.on('message', (message: unknown) => {
        const report = readReport(message)
        if (report === null) return
        if (report.said === 'serving') {
          this.#serving = true
          resolve(report.ports)
        } else if (report.said !== 'here') this.#asked.get(report.id)?.(report)
        else if (this.#ordered !== null) this.#send({ do: this.#ordered })
      })
      worker.on('error', () => undefined) // its end follows
      worker.once('exit', (code: number | null, signal: string | null) => {
        this.#worker = null
        this.#serving = false
        reject(new WorkerEnded(number, { code, signal }))
        onEnd(this, { code, signal }, this.#delay.next(monotonic() - this.#startedAt))
      })
    })
  }

  order(what: 'drain' | 'hurry'): void {
    this.#ordered = what
    this.#send({ do: what })
  }

  signal(signal: NodeJS.Signals): void {
    this.#worker?.process.kill(signal)
  }

  /** Rejects when there is no worker that serves, or when it does not answer. */
  ask(what: Question): Promise<Report> {
    if (!this.#serving) return Promise.reject(new Error(this.running ? 'it is starting' : 'it is not running'))
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#asked.delete(id)
        reject(new Error(`no answer within ${ANSWER_MS} ms`))
      }, ANSWER_MS)
      this.#asked.set(id, (report) => {
        clearTimeout(timer)
        this.#asked.delete(id)
        resolve(report)
      })
      this.#send({ do: 'tell', id, what })
    })
  }

  #send(order: Order): void {
    // One that is ending hears nothing any more.
    if (this.#worker?.isConnected() === true) this.#worker.send(order, () => undefined)
  }
}
