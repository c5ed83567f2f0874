// Servers under test: started, waited for, ended by pid.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Scope } from './scope.js'

const STDERR_KEPT = 4096
const STOP_MS = 15_000

export interface ServerProcess {
  readonly pid: number
  /** The first line of stdout; rejects when the process ends before it, or after `timeoutMs`. */
  firstLine(timeoutMs: number): Promise<string>
  /** Rejects as soon as the process ends without being stopped, with what it last said. */
  readonly failed: Promise<never>
  /** The last 4 KiB of stderr. */
  stderr(): string
  /** SIGTERM, then SIGKILL after 15 s; resolves when it has ended. */
  stop(): Promise<void>
}

/** A temporary folder that is removed with `scope`. */
export function temporaryFolder(scope: Scope, root: string = tmpdir()): string {
  mkdirSync(root, { recursive: true })
  const folder = mkdtempSync(join(resolve(root), 'postrider-bench-'))
  scope.defer(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function watch(child: ChildProcess, name: string): { failed: Promise<never>; stderr: () => string } {
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-STDERR_KEPT)
  })
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (error) => reject(new Error(`${name} could not be started: ${error.message}`)))
    child.once('exit', (code, signal) => reject(new Error(`${name} ended with ${signal ?? code}\n${stderr}`)))
  })
  // Most of the time nobody is waiting for a failure when the process ends in order.
  failed.catch(() => {})
  return { failed, stderr: () => stderr }
}

/** Starts a server; it ends with `scope`. */
export function startServer(
  scope: Scope,
  name: string,
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): ServerProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const { failed, stderr } = watch(child, name)
  const stop = async (): Promise<void> => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    child.kill('SIGTERM')
    const patience = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await ended
    clearTimeout(patience)
  }
  scope.defer(stop)
  const lines = new Promise<string>((done) => {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      // Only the first line is of interest; the rest is read so that the pipe never fills.
      if (text.includes('\n')) return
      text += chunk
      if (text.includes('\n')) done(text.slice(0, text.indexOf('\n')))
    })
  })
  return {
    pid: child.pid ?? 0,
    failed,
    stderr,
    stop,
    firstLine: async (timeoutMs) => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${name} did not become ready\n${stderr()}`)), timeoutMs)
      })
      try {
        return await Promise.race([lines, failed, late])
      } finally {
        clearTimeout(timer)
      }
    },
  }
}
