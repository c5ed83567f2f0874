// A program of the tests in one file, for those that start a process many times: it starts in a tenth of the time.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { Test } from 'tap'

/** Answers the path of a file that `node` runs. It is removed at the end of the test. */
export async function bundle(t: Test, entry: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-bundle-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const outfile = join(folder, 'program.cjs')
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['bufferutil', 'utf-8-validate'], // what ws uses if it is there
  })
  return outfile
}
