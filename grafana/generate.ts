// Writes what Grafana and Prometheus read: `npm run grafana [-- --runbooks https://…]`.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { RUNBOOKS } from './lib/runbook.js'
import { generatedFiles } from './generated-files.js'

const FOLDER = fileURLToPath(new URL('generated', import.meta.url))

const { values } = parseArgs({ options: { runbooks: { type: 'string', default: RUNBOOKS } } })
rmSync(FOLDER, { recursive: true, force: true })
for (const [path, text] of generatedFiles(values.runbooks.replace(/\/+$/, ''))) {
  const file = join(FOLDER, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
