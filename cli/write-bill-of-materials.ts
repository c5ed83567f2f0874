// A CycloneDX bill of materials of what is needed at run time, to stdout: what `npm sbom` says, without what the lock file marks as
// development. `npm sbom --omit=dev` by itself leaves out what both need, such as ioredis here.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runtimeLicences } from './licences-page.js'

interface Bill {
  readonly components: ReadonlyArray<{ readonly name: string; readonly 'bom-ref': string; readonly purl: string }>
  readonly dependencies: ReadonlyArray<{ readonly ref: string; readonly dependsOn: readonly string[] }>
}

const root = new URL('../', import.meta.url)
const needed = runtimeLicences(JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')))
const text = execFileSync('npm', ['sbom', '--sbom-format=cyclonedx'], {
  cwd: fileURLToPath(root),
  encoding: 'utf8',
  maxBuffer: 1 << 27,
  stdio: ['ignore', 'pipe', 'ignore'],
})
const bill: Bill = JSON.parse(text)
const OURS = /^(?:postrider|@postrider\/sdk)@/
const components = bill.components.filter((each) => needed.has(each.name) || OURS.test(each['bom-ref']))
const kept = new Set(components.map((each) => each['bom-ref']))
const dependencies = bill.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) }))
process.stdout.write(`${JSON.stringify({ ...bill, components, dependencies }, null, 2)}\n`)
