import tap from 'tap'
import { CLOSE_CODES, CONNACK, ERROR_CODES, EXCEPTION_REASONS } from '../../protocol/codes.js'
import { readRepositoryFile, sectionOf, tableRows } from '../support/repository.js'

const page = readRepositoryFile('docs/errors.md')
const unquoted = (cell: string | undefined): string => (cell ?? '').replaceAll('`', '')
const numberWithoutCommas = (cell: string | undefined): string => (cell ?? '').replaceAll(',', '')

await tap.test(
  'codes: docs/errors.md lists the error codes of the code, in its order, with status and retry',
  async (t) => {
    const documented = tableRows(sectionOf(page, 'Error codes')).map(([code, status, retry]) => [
      unquoted(code),
      status,
      retry,
    ])
    const actual = Object.entries(ERROR_CODES).map(([code, { status, retryable }]) => [
      code,
      String(status),
      retryable ? 'yes' : 'no',
    ])
    t.same(documented, actual)
  },
)

await tap.test('codes: docs/errors.md says of every error code what it means and what to do', async (t) => {
  for (const [code, , , meaning, advice] of tableRows(sectionOf(page, 'Error codes'))) {
    t.ok((meaning ?? '').length > 10, `${unquoted(code)} has a meaning`)
    t.ok((advice ?? '').length > 10, `${unquoted(code)} has an advice`)
  }
})

await tap.test('codes: docs/errors.md lists the close codes of the code, with reconnect and wait', async (t) => {
  const documented = tableRows(sectionOf(page, 'Close codes')).map(([code, reconnect, wait]) => [
    unquoted(code),
    reconnect,
    numberWithoutCommas(wait),
  ])
  const actual = Object.entries(CLOSE_CODES).map(([code, { reconnect, minMs, maxMs }]) => [
    code,
    reconnect,
    `${minMs}–${maxMs}`,
  ])
  t.same(documented, actual)
})

await tap.test('codes: docs/errors.md lists the reasons of exceptions and the CONNACK codes of the code', async (t) => {
  const reasons = tableRows(sectionOf(page, 'Reasons of an exception')).map(([reason]) => unquoted(reason))
  t.same(reasons, EXCEPTION_REASONS)
  const connack = tableRows(sectionOf(page, 'CONNACK return codes')).map(([name, number]) => [unquoted(name), number])
  t.same(
    connack,
    Object.entries(CONNACK).map(([name, number]) => [name, String(number)]),
  )
})

await tap.test('codes: a code that may be retried has a status that says so', async (t) => {
  for (const [code, { status, retryable }] of Object.entries(ERROR_CODES)) {
    t.equal(retryable, status === 429 || status === 503, code)
  }
})
