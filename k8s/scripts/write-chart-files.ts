// `npm run chart`: writes what of the chart is made from other parts of the project.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chartFiles, leftOver } from './chart-files.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const made = chartFiles(root)
for (const [path, text] of made) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}
for (const path of leftOver(root, made)) rmSync(join(root, path))
