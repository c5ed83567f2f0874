import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { Child } from './child.js'

const CHILD = fileURLToPath(new URL('./crowd-child.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** So many in one process: the limit of open files is one of each process. */
const SOCKETS_A_PROCESS = 2_500

export interface CrowdOptions {
  readonly port: number
  readonly sockets: number
  /** What each of them sends before it is silent. */
  readonly first?: string | Uint8Array
  /** One that is closed comes again. */
  readonly returns?: boolean
}

/** Sockets in processes of their own, which end with the test. */
export class Crowd {
  readonly #children: readonly Child[]

  private constructor(children: readonly Child[]) {
    this.#children = children
  }

  /** Resolves when each of them has been open. */
  static async gather(t: Test, { port, sockets, first = '', returns = false }: CrowdOptions): Promise<Crowd> {
    const processes = Math.ceil(sockets / SOCKETS_A_PROCESS)
    const hex = Buffer.from(first).toString('hex')
    const each = Math.ceil(sockets / processes)
    const args = ['--import=tsx', CHILD, String(port), String(each), returns ? 'return' : 'stay', hex]
    const crowd = new Crowd(
      Array.from({ length: processes }, () => new Child(t, process.execPath, args, { cwd: ROOT })),
    )
    for (const child of crowd.#children) {
      await child.until(`${each} sockets`, () => Crowd.#last(child).opened >= each)
    }
    return crowd
  }

  /** Sockets that are open, and that have been, a moment ago. */
  get sockets(): { readonly open: number; readonly opened: number } {
    const sum = { open: 0, opened: 0 }
    for (const child of this.#children) {
      const { open, opened } = Crowd.#last(child)
      sum.open += open
      sum.opened += opened
    }
    return sum
  }

  async disperse(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill('SIGKILL')))
  }

  static #last(child: Child): { readonly open: number; readonly opened: number } {
    const end = child.stdout.lastIndexOf('\n')
    if (end < 0) return { open: 0, opened: 0 }
    const line: unknown = JSON.parse(child.stdout.slice(child.stdout.lastIndexOf('\n', end - 1) + 1, end))
    const read = (name: 'open' | 'opened'): number =>
      typeof line === 'object' && line !== null && name in line ? Number(Reflect.get(line, name)) : 0
    return { open: read('open'), opened: read('opened') }
  }
}
