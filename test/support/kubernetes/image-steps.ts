// The Dockerfile's steps in plain folders, for machines without a container engine. Each stage is a folder; bases are empty.

import { execFile } from 'node:child_process'
import { cp, mkdir, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { readRepositoryFile, repositoryFiles, repositoryRoot } from '../repository.js'

const run = promisify(execFile)

/** The instructions, with lines that go on put together; comments and ARGs of bases left out. */
function instructions(): ReadonlyArray<readonly [word: string, rest: string]> {
  const text = readRepositoryFile('Dockerfile')
    .replace(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1).trim()] as const)
}

/** What the engine would be sent, by the rules of .dockerignore that this file knows: `*`, `!path`, and `**` before a name. */
export function contextFiles(): readonly string[] {
  const rules = readRepositoryFile('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  const matches = (rule: string, path: string): boolean => {
    if (rule === '*') return true
    if (!rule.startsWith('**/')) return path === rule || path.startsWith(`${rule}/`)
    const name = new RegExp(`(?:^|/)${rule.slice(3).replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(?:/|$)`)
    return name.test(path)
  }
  const taken = (path: string): boolean => {
    const last = rules.findLast((rule) => matches(rule.replace(/^!/, ''), path))
    return last === undefined || last.startsWith('!')
  }
  return [...repositoryFiles(), 'package-lock.json'].filter(taken)
}

export interface BuiltImage {
  /** The folder that would be the root of its file system. */
  readonly root: string
  /** `HEALTHCHECK`'s command. */
  readonly health: readonly string[]
}

function words(rest: string): readonly string[] {
  const list: unknown = JSON.parse(rest.slice(rest.indexOf('[')))
  return Array.isArray(list) ? list.map(String) : []
}

/** Runs the steps below `folder`. */
export async function buildImage(folder: string): Promise<BuiltImage> {
  const context = join(folder, 'context')
  for (const path of contextFiles()) await cp(join(repositoryRoot, path), join(context, path))
  const stages = new Map<string, string>()
  let root = ''
  let workdir = '/'
  let health: readonly string[] = []
  for (const [word, rest] of instructions()) {
    const place = (path: string): string => join(root, path.startsWith('/') ? path : join(workdir, path))
    if (word === 'FROM') {
      const [base = '', , name = 'image'] = rest.split(/\s+/)
      root = join(folder, name)
      await mkdir(root, { recursive: true })
      const from = stages.get(base)
      if (from !== undefined) await cp(from, root, { recursive: true, verbatimSymlinks: true })
      stages.set(name, root)
      if (from === undefined) workdir = '/'
    } else if (word === 'WORKDIR') {
      workdir = rest
      await mkdir(place('.'), { recursive: true })
    } else if (word === 'COPY') {
      const from = /--from=(\S+)/.exec(rest)?.[1]
      const paths = rest.split(/\s+/).filter((each) => !each.startsWith('--'))
      const to = paths.at(-1) ?? ''
      for (const path of paths.slice(0, -1)) {
        const source = from === undefined ? join(context, path) : join(stages.get(from) ?? '', path)
        const target = to.endsWith('/') ? join(place(to), path.split('/').at(-1) ?? '') : place(to)
        await mkdir(dirname(target), { recursive: true })
        await cp(source, path === '.' ? place(to) : target, { recursive: true, verbatimSymlinks: true })
      }
    } else if (word === 'RUN') {
      // All packages as the lock file says are here already.
      const whole = rest.startsWith('npm ci --ignore-scripts')
      if (whole) await symlink(join(repositoryRoot, 'node_modules'), place('node_modules'))
      // The shell of the base; its absolute paths begin at the stage's root.
      else
        await run('env', ['-u', 'NODE_OPTIONS', 'sh', '-ec', rest.replaceAll(' /data', ` ${root}/data`)], {
          cwd: place('.'),
        })
    } else if (word === 'HEALTHCHECK') health = words(rest)
  }
  return { root, health }
}
