import t from 'tap'
import { bodyHash } from '../../core/model/body-hash.js'
import type { NewMessage } from '../../core/model/message.js'
import { isTraceparent, withTraceparent } from '../../core/model/trace-context.js'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

void t.test('trace context: version 00 with ids that are not zero', async (t) => {
  t.ok(isTraceparent(TRACE))
  for (const wrong of [
    '',
    TRACE.toUpperCase(),
    `${TRACE}-more`,
    `${TRACE}\n`,
    TRACE.replace('00-', '01-'),
    TRACE.replace('00-', 'ff-'),
    TRACE.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)),
    TRACE.replace('00f067aa0ba902b7', '0'.repeat(16)),
  ])
    t.notOk(isTraceparent(wrong), wrong)
})

void t.test('trace context: takes its place among the attributes, and none from one that is there', async (t) => {
  t.equal(withTraceparent(null, null), null)
  t.same(withTraceparent(null, TRACE), [['traceparent', TRACE]])
  t.same(
    withTraceparent(
      [
        ['a', '1'],
        ['z', '2'],
      ],
      TRACE,
    ),
    [
      ['a', '1'],
      ['traceparent', TRACE],
      ['z', '2'],
    ],
  )
  t.same(withTraceparent([['a', '1']], TRACE), [
    ['a', '1'],
    ['traceparent', TRACE],
  ])
  const own = [['traceparent', 'own']] as const
  t.equal(withTraceparent(own, TRACE), own)
})

void t.test('trace context: a repeat with another one is the same message', async (t) => {
  const message: NewMessage = {
    device: 'd',
    payload: Buffer.from('x'),
    contentType: 'text/plain',
    attributes: [['a', '1']],
    dedupId: 'one',
    ttl: null,
    priority: 'normal',
  }
  const traced = { ...message, attributes: withTraceparent(message.attributes, TRACE) }
  t.same(bodyHash(traced), bodyHash(message))
  t.notSame(bodyHash({ ...message, attributes: [['a', '2']] }), bodyHash(message))
})
