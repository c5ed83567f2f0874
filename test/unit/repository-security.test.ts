import tap from 'tap'
import { hasTest, readRepositoryFile, repositoryFiles, sectionOf, testsNamedIn } from '../support/repository.js'

const page = readRepositoryFile('docs/security.md')

const threats = sectionOf(page, 'Threats')
  .split(/^### /m)
  .slice(1)
  .map((text) => ({ name: text.slice(0, text.indexOf('\n')), tests: testsNamedIn(text) }))

await tap.test('security: every threat names a test, and each named test exists under its title', async (t) => {
  t.ok(threats.length >= 10, 'there are threats to look at')
  for (const { name, tests } of threats) {
    t.ok(tests.length > 0, name)
    for (const test of tests) t.ok(hasTest(test), `${name}: ${test.file} has a test “${test.title}”`)
  }
})

await tap.test('security: every attack that there is a test for stands in docs/security.md', async (t) => {
  const named = new Set(threats.flatMap(({ tests }) => tests.map(({ title }) => title)))
  const attacks = repositoryFiles()
    .filter((path) => /^test\/.*security-.*\.test\.ts$/.test(path) && path !== 'test/unit/repository-security.test.ts')
    .flatMap((path) => [...readRepositoryFile(path).matchAll(/^\s*(?:void t\.test\()?'(security: .+)',/gm)])
    .map((match) => match[1] ?? '')
  t.ok(attacks.length >= 20, `${attacks.length} attacks`)
  t.same(
    attacks.filter((title) => !named.has(title)),
    [],
  )
})

await tap.test('security: each test that docs/tls.md names exists under its title', async (t) => {
  const sections = readRepositoryFile('docs/tls.md').split(/^## /m).slice(1)
  for (const text of sections) {
    const name = text.slice(0, text.indexOf('\n'))
    const tests = testsNamedIn(text)
    t.ok(tests.length > 0, name)
    for (const test of tests) t.ok(hasTest(test), `${name}: ${test.file} has a test “${test.title}”`)
  }
})
