import tap from 'tap'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import {
  hasTest,
  importsOf,
  readRepositoryFile,
  repositoryFiles,
  repositoryRoot,
  testsNamedIn,
  type NamedTest,
} from '../support/repository.js'

interface Guarantee {
  readonly id: string
  readonly text: string
  /** The enforcing tests, as the page names them. */
  readonly tests: readonly NamedTest[]
}

const guarantees: readonly Guarantee[] = readRepositoryFile('docs/guarantees.md')
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const id = section.slice(0, section.indexOf(' '))
    const [text = '', list = ''] = section.split('**Tests.**')
    const tests = testsNamedIn(list)
    return { id, text, tests }
  })

await tap.test('guarantees: G1 to G12 are there, in order, each with its promise and how it is kept', async (t) => {
  t.same(
    guarantees.map(({ id }) => id),
    Array.from({ length: 12 }, (_, i) => `G${i + 1}`),
  )
  for (const { id, text } of guarantees) {
    t.match(text, /\*\*Promise\.\*\* .{20}/, `${id} has a promise`)
    t.match(text, /\*\*How\.\*\* .{20}/, `${id} says how`)
  }
})

await tap.test('guarantees: every guarantee names a test, and each named test exists under its title', async (t) => {
  for (const { id, tests } of guarantees) {
    t.ok(tests.length > 0, `${id} names a test`)
    for (const { file, title } of tests) {
      t.ok(hasTest({ file, title }), `${id}: ${file} has a test “${title}”`)
    }
  }
})

await tap.test('guarantees: a named suite is run by a test', async (t) => {
  const runTests = repositoryFiles().filter((path) => path.endsWith('.test.ts'))
  const reached = new Set<string>()
  const reach = (path: string): void => {
    if (reached.has(path) || !existsSync(join(repositoryRoot, path))) return
    reached.add(path)
    for (const { specifier } of importsOf(readRepositoryFile(path))) {
      if (specifier.startsWith('.')) reach(join(dirname(path), specifier).replace(/\.js$/, '.ts'))
    }
  }
  for (const path of runTests) reach(path)
  const named = new Set(guarantees.flatMap(({ tests }) => tests.map(({ file }) => file)))
  t.same(
    [...named].filter((file) => !reached.has(file)),
    [],
  )
})
