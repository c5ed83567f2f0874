import { spawn, type ChildProcess } from 'node:child_process'
import type { Test } from 'tap'

export interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ChildOptions {
  /** Added to a small environment without any POSTRIDER_ variable; undefined takes one away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Written to stdin, which is closed then. */
  readonly input?: string | Uint8Array
  readonly uid?: number
}

/** How long anything that should happen may take before the test is told that it did not. */
export const PATIENCE_MS = 40_000

function baseEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || /^(?:POSTRIDER_|NODE_|TAP)/.test(name) ? [] : [[name, value]],
    ),
  )
}

/** A process that a test has started: what it wrote, how it ended, and that it does not outlive the test. */
export class Child {
  readonly pid: number
  readonly exited: Promise<ExitStatus>
  #stdout = ''
  #stderr = ''
  #status: ExitStatus | null = null
  readonly #process: ChildProcess
  readonly #waiting = new Set<() => void>()

  constructor(t: Test, command: string, args: readonly string[], options: ChildOptions = {}) {
    // The test runner adds its own loader to NODE_OPTIONS of every process: what is tested must run without it.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], {
      cwd: options.cwd,
      env: { ...baseEnvironment(), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    })
    if (child.pid === undefined) throw new Error(`${command} cannot be started`)
    this.pid = child.pid
    this.#process = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      this.#changed()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
      this.#changed()
    })
    child.stdin.on('error', () => undefined) // it may end without reading
    child.stdin.end(options.input ?? '')
    this.exited = new Promise((resolve) => {
      // 'close', not 'exit': everything it wrote has been read then.
      child.once('close', (code, signal) => {
        this.#status = { code, signal }
        resolve(this.#status)
        this.#changed()
      })
    })
    t.teardown(() => this.kill('SIGKILL'))
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  /** Null while it runs. */
  get status(): ExitStatus | null {
    return this.#status
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#status === null) this.#process.kill(signal)
  }

  /** The reader of its output goes away. */
  closeReader(name: 'stdout' | 'stderr'): void {
    this.#process[name]?.destroy()
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<ExitStatus> {
    this.signal(signal)
    return this.exited
  }

  /** Waits until `condition` holds; it is looked at whenever the process writes or ends. Rejects when it cannot hold any more. */
  async until(what: string, condition: (child: this) => boolean): Promise<void> {
    const describe = (): string => `stdout: ${this.#stdout}\nstderr: ${this.#stderr}`
    await new Promise<void>((resolve, reject) => {
      const finish = (error?: Error): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        if (error === undefined) resolve()
        else reject(error)
      }
      const look = (): void => {
        if (condition(this)) finish()
        else if (this.#status !== null) finish(new Error(`it ended before ${what}\n${describe()}`))
      }
      const timer = setTimeout(() => finish(new Error(`it took too long until ${what}\n${describe()}`)), PATIENCE_MS)
      this.#waiting.add(look)
      look()
    })
  }

  #changed(): void {
    for (const look of this.#waiting) look()
  }
}
