import tap from 'tap'
import { licencesPage, type Lockfile, runtimeLicences } from '../../cli/licences-page.js'
import { readRepositoryFile } from '../support/repository.js'

const lockfile: Lockfile = JSON.parse(readRepositoryFile('package-lock.json'))

/** Those under which what is bundled may be passed on with its notice alone. */
const PERMISSIVE =
  /^\(?(?:MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|Unlicense|CC0-1\.0)(?: OR .+| AND .+)?\)?$/

await tap.test('licences: everything that is there at run time may be passed on', async (t) => {
  const licences = runtimeLicences(lockfile)
  t.ok(licences.size > 50, `${licences.size} packages`)
  t.same(
    [...licences].filter(([, licence]) => !PERMISSIVE.test(licence)),
    [],
  )
})

await tap.test('licences: the page lists them', async (t) => {
  t.equal(readRepositoryFile('docs/licences.md'), licencesPage(lockfile), 'run: npm run docs:licences')
})
