// `npm run test:faults`: every scenario of the cluster, one after the other, and one table at the end. CI_LONG=1: a minute each.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readRows, ROWS_VARIABLE, tableOf } from '../support/faults/table.js'

const HERE = fileURLToPath(new URL('.', import.meta.url))

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-faults-'))
  const rows = join(folder, 'rows')
  try {
    const files = (await readdir(HERE)).filter((name) => /^cluster.*\.test\.ts$/.test(name)).toSorted()
    const tap = spawn('npx', ['tap', '--jobs=1', ...process.argv.slice(2), ...files.map((name) => join(HERE, name))], {
      stdio: 'inherit',
      env: { ...process.env, [ROWS_VARIABLE]: rows },
    })
    const [code]: unknown[] = await once(tap, 'exit')
    process.stdout.write(`\n${tableOf(await readRows(rows))}\n`)
    return typeof code === 'number' ? code : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

process.exitCode = await main()
