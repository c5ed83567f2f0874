// The failure table of docs/cluster.md and the scenarios of the faults suite are of the same failures.

import tap from 'tap'
import { readRepositoryFile, repositoryFiles } from '../support/repository.js'

const section =
  readRepositoryFile('docs/cluster.md').split('## What fails, and what is seen of it')[1]?.split('\n## ')[0] ?? ''
const rows = section
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| what fails'))
  .map((line) => line.split('|').slice(1, -1))

const inSuite = (pattern: RegExp): readonly string[] =>
  repositoryFiles()
    .filter((path) => /^test\/(support\/faults\/[a-z-]+-scenarios|faults\/cluster[a-z-]*\.test)\.ts$/.test(path))
    .flatMap((path) => [...readRepositoryFile(path).matchAll(pattern)].map(([, name = '']) => name))

const names = inSuite(/^ +name: '([^']+)',$/gm)
const titles = inSuite(/^t\.test\('([^']+)'/gm)

await tap.test('faults: every row of the failure table names scenarios that exist', async (t) => {
  t.ok(rows.length > 10, `${rows.length} rows`)
  for (const cells of rows) {
    t.equal(cells.length, 5, cells[0] ?? '')
    const named = [...(cells.at(-1) ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
    t.ok(named.length > 0, `a test for:${cells[0]}`)
    t.same(
      named.filter((name) => !names.includes(name) && !titles.includes(name)),
      [],
    )
  }
})

await tap.test('faults: every scenario is in the failure table', async (t) => {
  t.ok(names.length > 15, `${names.length} scenarios`)
  const table = rows.map((cells) => cells.at(-1)).join('\n')
  t.same(
    names.filter((name) => !table.includes(`\`${name}\``)),
    [],
  )
})
