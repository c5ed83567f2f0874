import tap from 'tap'
import { countResults, maySkip } from '../../.ci/count-results.js'

type Event = readonly [string, Readonly<Record<string, unknown>>]

const pass: Event = ['pass', { ok: true, name: 'should be equal' }]
const fail: Event = ['fail', { ok: false, name: 'should be equal', diag: { at: 'there' } }]
const skip = (fullname: string, reason: string): Event => ['skip', { ok: true, name: '', skip: reason, fullname }]

/** The events of a file, a group or a test. `more`: what its end says beside its name and whether it is well. */
function scope(fullname: string, ok: boolean, inner: readonly Event[], more: object = {}): readonly Event[] {
  return [['start', { name: fullname }], ...inner, ['end', { fullname, ok, ...more }]]
}

const report = (events: readonly Event[]): string => events.map((event) => `${JSON.stringify(event)}\n`).join('')
const whole = (...files: ReadonlyArray<readonly Event[]>): string => report(scope('TAP', true, files.flat()))

await tap.test('CI counts: tests, not assertions and not the groups around them', async (t) => {
  const group = [scope('file > g > two', true, [pass]), scope('file > g > three', true, [pass, pass])].flat()
  const file = [scope('file > one', true, [pass, pass]), scope('file > g', true, group)].flat()
  t.same(countResults(whole(scope('file', true, file))), { passed: 3, failed: [], skipped: [] })
})

await tap.test('CI counts: a failed test is one failure, with its assertion', async (t) => {
  const file = [scope('file > good', true, [pass]), scope('file > bad', false, [pass, fail, fail])].flat()
  const { passed, failed } = countResults(whole(scope('file', false, file)))
  t.equal(passed, 1)
  t.same(
    failed.map(({ test }) => test),
    ['file > bad'],
  )
  t.match(failed[0]?.reason, /should be equal .*there/)
})

await tap.test('CI counts: a file that crashed or timed out is a failure although no test in it failed', async (t) => {
  const file = scope('file', false, scope('file > one', true, [pass]), { diag: { exitCode: 1 } })
  const { passed, failed } = countResults(whole(file))
  t.equal(passed, 1)
  t.match(failed, [{ test: 'file', reason: /exitCode/ }])
  t.equal(failed.length, 1)
})

await tap.test('CI counts: a test whose end is not told ends with its file', async (t) => {
  const file: readonly Event[] = [
    ['start', { name: 'file', level: 1 }],
    ['start', { name: 'a \\# b', level: 2 }],
    pass,
    ['pass', { ok: true, name: 'a # b', closingTestPoint: true }],
    ...scope('file > last', true, [pass], { level: 2 }),
    ['end', { fullname: 'file', ok: true, level: 1 }],
  ]
  t.match(countResults(whole(file)), { failed: [], skipped: [] })
})

await tap.test('CI counts: a test is skipped as a whole, from inside, or with its file', async (t) => {
  const group = [
    ...scope('file > g > ran', true, [pass]),
    skip('file > g > c', 'no redis'),
    skip('file > g > d', 'no d'),
  ]
  const { passed, failed, skipped } = countResults(
    whole(
      scope('file', true, [
        skip('file > a', 'no MongoDB'),
        ...scope('file > b', true, [pass, skip('', 'no curl'), skip('', 'no disk')]),
        ...scope('file > g', true, group),
      ]),
      scope('none', true, [skip('none > x', 'no x'), skip('none > y', 'no y')]),
      scope('other', true, [], { skip: 'no mosquitto' }),
    ),
  )
  t.equal(passed, 1)
  t.equal(failed.length, 0)
  t.same(skipped.map(({ test, reason }) => `${test}: ${reason}`).toSorted(), [
    'file > a: no MongoDB',
    'file > b: no curl; no disk',
    'file > g > c: no redis',
    'file > g > d: no d',
    'none > x: no x',
    'none > y: no y',
    'other: no mosquitto',
  ])
  t.ok(maySkip('no MongoDB'))
  t.notOk(maySkip('no mosquitto'))
})

await tap.test('CI counts: a report that stops in the middle is no report', async (t) => {
  t.throws(() => countResults(''), RangeError)
  t.throws(() => countResults(report(scope('TAP', true, scope('file', true, [pass])).slice(0, -2))), RangeError)
  t.throws(() => countResults('["start",{"na'), SyntaxError)
})
