import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { Child, type ChildOptions } from './child.js'

/** The command as it is installed; it runs what `npm run build` made. */
export const POSTRIDER = fileURLToPath(new URL('../../cli/bin/postrider.js', import.meta.url))

export interface CommandOptions extends ChildOptions {
  /** For Node itself, before the command. */
  readonly nodeFlags?: readonly string[]
  /** The program, if it is another one. */
  readonly program?: string
}

/** Starts `postrider` with these arguments. */
export function startCommand(t: Test, args: readonly string[], options: CommandOptions = {}): Child {
  return new Child(t, process.execPath, [...(options.nodeFlags ?? []), options.program ?? POSTRIDER, ...args], options)
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `postrider` with these arguments to its end. */
export async function runCommand(t: Test, args: readonly string[], options: ChildOptions = {}): Promise<Ended> {
  const child = startCommand(t, args, options)
  const status = await child.exited
  return { ...status, stdout: child.stdout, stderr: child.stderr }
}
