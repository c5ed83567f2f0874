// docs/dependencies.md says which versions somebody has looked at, and how a bill of materials is made. Both have to be true.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import tap from 'tap'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const page = readRepositoryFile('docs/dependencies.md')

function dependenciesOf(path: string): ReadonlyArray<readonly [string, unknown]> {
  const parsed: unknown = JSON.parse(readRepositoryFile(path))
  const list = isRecord(parsed) ? parsed['dependencies'] : undefined
  return isRecord(list) ? Object.entries(list) : []
}

await tap.test('dependencies: the versions that were looked at are those that are used, with a date', async (t) => {
  const used = new Map([...dependenciesOf('cli/package.json'), ...dependenciesOf('sdk/package.json')])
  const rows = [...page.matchAll(/^\| (\S+) \| (\d\S*) \| /gm)].map(([, name, version]) => [name, version])
  t.ok(used.size > 10)
  t.same(
    rows,
    [...used].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    'docs/dependencies.md: look at what changed, then change date and row',
  )
  const date = /^Checked on (\d{4}-\d\d-\d\d), /m.exec(page)?.[1] ?? ''
  t.ok(Date.parse(date) > Date.parse('2026-11-01'), date)
})

await tap.test('dependencies: the bill of materials names what is needed at run time, each by its purl', async (t) => {
  const run = promisify(execFile)
  const { stdout } = await run('npm', ['run', '--silent', 'sbom'], { cwd: repositoryRoot, maxBuffer: 1 << 26 })
  const parsed: unknown = JSON.parse(stdout)
  const components = isRecord(parsed) && Array.isArray(parsed['components']) ? parsed['components'] : []
  const purls = components.map((each: unknown) => (isRecord(each) ? String(each['purl']) : ''))
  const wanted = [...dependenciesOf('cli/package.json'), ...dependenciesOf('sdk/package.json')].map(
    ([name, version]) => `pkg:npm/${name.replace('@', '%40')}@${String(version)}`,
  )
  t.same(
    wanted.filter((purl) => !purls.includes(purl)),
    [],
  )
  t.notOk(
    purls.some((purl) => /^pkg:npm\/(?:tap|typescript|oxlint)@/.test(purl)),
    'nothing of development',
  )
})
