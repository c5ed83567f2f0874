import t from 'tap'
import { PostriderError, OutcomeUnknown, StartupError, StoreUnavailable } from '../../core/errors.js'
import { CLOSE_CODES, CONNACK, ERROR_CODES, type ErrorCode } from '../../protocol/codes.js'

t.test('codes: an error code is stable words, a status of refusal, and says whether to retry', async (t) => {
  for (const [code, { status, retryable, title }] of Object.entries(ERROR_CODES)) {
    t.match(code, /^[a-z]+(_[a-z]+)*$/)
    t.ok(status >= 400 && status <= 599, code)
    t.equal(retryable, status === 429 || status === 503, `${code}: exactly overload and outages are worth a retry`)
    t.match(title, /^[A-Z].*[^.]$/, code)
  }
})

t.test('codes: the codes of the REST interface', async (t) => {
  const byStatus = new Map<number, string[]>()
  for (const [code, { status }] of Object.entries(ERROR_CODES)) {
    byStatus.set(status, [...(byStatus.get(status) ?? []), code].toSorted())
  }
  t.strictSame(Object.fromEntries(byStatus), {
    400: ['bad_request', 'invalid_device_id', 'not_supported', 'unknown_field'],
    401: ['unauthorized'],
    403: ['missing_scope'],
    404: ['device_not_found', 'message_gone', 'not_found'],
    409: ['already_handled', 'dedup_conflict', 'out_of_order'],
    413: ['body_too_large', 'payload_too_large', 'too_many_messages'],
    429: ['inbox_full', 'rate_limited'],
    503: ['outcome_unknown', 'overloaded', 'store_unavailable'],
  })
})

t.test('codes: a close says whether to come back, and when', async (t) => {
  for (const [code, { reconnect, minMs, maxMs }] of Object.entries(CLOSE_CODES)) {
    t.ok(minMs >= 0 && minMs <= maxMs, code)
    if (reconnect === 'never') t.equal(maxMs, 0, code)
  }
  t.strictSame(
    Object.entries(CLOSE_CODES).flatMap(([code, { reconnect }]) => (reconnect === 'never' ? [code] : [])),
    ['taken_over', 'revoked', 'protocol_error'],
  )
  t.match(CLOSE_CODES.resync, { minMs: 0, maxMs: 500 })
})

t.test('codes: CONNACK return codes are those of MQTT 3.1.1', async (t) => {
  t.strictSame(Object.values(CONNACK), [0, 1, 2, 3, 4, 5])
})

t.test('errors: an error answers for its row of the table, and keeps its cause', async (t) => {
  const cause = new Error('why')
  for (const code of Object.keys(ERROR_CODES).filter((c): c is ErrorCode => c in ERROR_CODES)) {
    const error = new PostriderError(code, 'text', { cause, details: { expected: 3 } })
    t.match(error, {
      code,
      message: 'text',
      cause,
      details: { expected: 3 },
      ...(({ status, retryable }) => ({ status, retryable }))(ERROR_CODES[code]),
    })
  }
  t.notOk('cause' in new PostriderError('not_found', 'text'), 'no cause is no property')
  t.match(new StoreUnavailable('x', { cause }), { code: 'store_unavailable', status: 503, cause })
  t.match(new OutcomeUnknown('x'), { code: 'outcome_unknown', status: 503, retryable: true })
  t.match(new StartupError('x'), { exitCode: 78 })
  t.match(new StartupError('x', { exitCode: 3 }), { exitCode: 3 })
})
