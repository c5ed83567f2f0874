// The build, changed: a program that is not quite this one.

import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { POSTRIDER } from '../command.js'

const PACKAGE = dirname(dirname(POSTRIDER))
const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url))

/** Text of a file of the build that stands there once, and what stands there then. */
export interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

/** Answers the path of its command. It is removed at the end of the test. Rejects when a change finds no place, or more than one. */
export async function changedBuild(t: Test, changes: readonly Change[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-changed-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const part of ['bin', 'dist', 'package.json']) {
    await cp(join(PACKAGE, part), join(folder, part), { recursive: true })
  }
  await symlink(MODULES, join(folder, 'node_modules'))
  for (const { file, from, to } of changes) {
    const path = join(folder, 'dist', file)
    const text = await readFile(path, 'utf8')
    if (text.split(from).length !== 2) throw new Error(`${file} has no single place for: ${from}`)
    await writeFile(
      path,
      text.replace(from, () => to),
    )
  }
  return join(folder, 'bin', 'postrider.js')
}
