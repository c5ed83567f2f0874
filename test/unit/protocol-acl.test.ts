import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  ACL_FILTER_MAX_BYTES,
  ACL_FILTERS_MAX,
  ALL_GRANTS,
  allows,
  covers,
  grantProblem,
  grants,
  matches,
  NO_GRANTS,
  readAcl,
  type Granted,
} from '../../protocol/acl.js'
import { classifyTopic, isValidFilter, isValidTopic } from '../../protocol/topics.js'

/** What a filter matches, as a regular expression: another way to say [MQTT-4.7.1] than the code under test. */
function expression(filter: string): RegExp {
  const levels = filter.split('/').map((level) => level.replaceAll(/[.*?^${}()|[\]\\]/g, '\\$&'))
  const body = levels.map((level) => (level === '+' ? '[^/]*' : level)).join('/')
  const hidden = /^[+#]/.test(filter) ? '(?!\\$|(?:inbox|stream|uplink)(?:/|$))' : ''
  return new RegExp(`^${hidden}${body === '#' ? '.*' : body.replace(/\/#$/, '(?:/.*)?')}$`, 's')
}

/** Every sequence of 1..`most` of `levels`. */
function paths(levels: readonly string[], most: number): readonly string[] {
  const all: string[] = []
  let longest: readonly string[] = levels
  for (let n = 1; n <= most; n++) {
    all.push(...longest)
    longest = longest.flatMap((path) => levels.map((level) => `${path}/${level}`))
  }
  return all
}

// One level more than the filters have, and a level that no filter names: whatever two filters differ in shows in a topic.
const FILTERS = paths(['a', 'b', '', '+', '#', '$x', 'inbox'], 3).filter(isValidFilter)
const TOPICS = paths(['a', 'b', '', 'z', '$x', 'inbox'], 4).filter(isValidTopic)

const level = fc.oneof(
  fc.constantFrom('a', 'b', '', '+', '#', '$x', 'inbox', 'uplink', 'é', 'a.c'),
  fc.string({ maxLength: 3 }),
)
const path = fc.array(level, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'))
const anyFilter = path.filter(isValidFilter)
const anyTopic = path.filter(isValidTopic)

void t.test('acl: a filter matches what MQTT says, and a leading wildcard no mailbox and no $ topic', async (t) => {
  for (const [filter, topic, expected] of [
    ['a/#', 'a', true], // [MQTT-4.7.1-2]
    ['a/#', 'a/b/c', true],
    ['a/#', 'ab', false],
    ['#', 'a', true],
    ['#', '/', true],
    ['+', '', true],
    ['+', 'a/b', false],
    ['+/+', '/a', true], // [MQTT-4.7.1-3]
    ['/+', '/a', true],
    ['+', '/a', false],
    ['a/+', 'a/', true],
    ['a/+', 'a', false],
    ['#', '$SYS/x', false], // [MQTT-4.7.2-1]
    ['+/x', '$SYS/x', false],
    ['#', 'inbox/phone-1', false],
    ['+/phone-1', 'inbox/phone-1', false],
    ['+/+/+', 'uplink/phone-1/c', false],
    ['+/phone-1', 'stream/phone-1', false],
    ['#', 'inbox', false],
    ['#', 'Inbox/phone-1', true],
    ['#', '/inbox/phone-1', true],
    ['a/+', 'a/$x', true],
    ['a/+', 'a/inbox', true],
    ['A', 'a', false],
  ] as const) {
    t.equal(matches(filter, topic), expected, `${filter} ${topic}`)
  }
  fc.assert(
    fc.property(anyFilter, anyTopic, (filter, topic) => {
      assert.equal(matches(filter, topic), expression(filter).test(topic))
    }),
    { numRuns: 2_000 },
  )
})

void t.test('acl: a filter covers another one exactly when each topic of that one is its own too', async (t) => {
  const topicsOf = new Map(
    FILTERS.map((filter) => {
      let set = 0n
      for (const [i, topic] of TOPICS.entries()) if (matches(filter, topic)) set |= 1n << BigInt(i)
      return [filter, set] as const
    }),
  )
  let covered = 0
  for (const [wide, all] of topicsOf) {
    for (const [narrow, some] of topicsOf) {
      const expected = (some & ~all) === 0n
      if (expected) covered++
      if (covers(wide, narrow) !== expected) t.fail(`${wide} covers ${narrow}: expected ${expected}`)
    }
  }
  t.ok(FILTERS.length > 150 && TOPICS.length > 1_000 && covered > FILTERS.length, 'the sets are large enough to tell')
})

void t.test('acl: covering, filter by filter', async (t) => {
  for (const [wide, narrow, expected] of [
    ['a/#', 'a', true],
    ['a/#', 'a/+/b', true],
    ['a/#', 'a/#', true],
    ['a/#', 'a/+/#', true],
    ['a/+/#', 'a/#', false],
    ['/+/#', '/#', true], // no topic is empty [MQTT-4.7.3-1]
    ['+', '#', false],
    ['#', '+/#', true],
    ['+/#', '#', true],
    ['a/+', 'a/b', true],
    ['a/+', 'a/#', false],
    ['a/b', 'a/+', false],
    ['+/+', '+/a', true],
    ['#', '$SYS/#', false],
    ['+/#', '$share/g/a', false],
    ['#', 'inbox/phone-1', false],
    ['+/+', 'stream/phone-1', false],
    ['#', 'uplink/#', false],
  ] as const) {
    t.equal(covers(wide, narrow), expected, `${wide} covers ${narrow}`)
  }
  // Longer filters than the table above has: what matches the narrow one matches the wide one.
  fc.assert(
    fc.property(anyFilter, anyFilter, anyTopic, (wide, narrow, topic) => {
      if (covers(wide, narrow) && matches(narrow, topic)) assert.ok(matches(wide, topic))
    }),
    { numRuns: 2_000 },
  )
  fc.assert(
    fc.property(anyFilter, (filter) => {
      assert.ok(covers(filter, filter))
      // Another name for each wildcard makes a filter that is covered; a wildcard for a name one that is not.
      const narrower = filter.split('/').map((part) => (part === '+' ? 'q' : part))
      assert.equal(covers(narrower.join('/'), filter), !filter.split('/').includes('+'))
      assert.ok(covers(filter, narrower.join('/')))
    }),
    { numRuns: 2_000 },
  )
})

void t.test('acl: no grant reaches a mailbox, an uplink or a topic of the system, whatever it says', async (t) => {
  const filters = ['#', '+/#', 'inbox/#', 'inbox/+', 'stream/+', 'uplink/#', '$SYS/#', '$share/g/#', '+/+/+', '$x/#']
  for (const everything of [filters, 'everything'] as const) reachesNoMailbox(t, everything)
  for (const malformed of ['', 'a\0', 'a/#/b', 'a+']) {
    t.notOk(allows(['#'], malformed))
    t.notOk(grants(['#'], malformed))
    t.notOk(allows('everything', malformed))
    t.notOk(grants('everything', malformed))
  }
  t.notOk(allows(['#'], 'a/+'), 'nobody publishes to a filter')
  fc.assert(
    fc.property(fc.array(anyFilter, { maxLength: 4 }), anyTopic, (granted, topic) => {
      if (allows(granted, topic)) assert.equal(classifyTopic(topic).kind, 'ordinary')
    }),
    { numRuns: 2_000 },
  )
})

void t.test('acl: other $ topics are granted by their name alone, or with everything', async (t) => {
  for (const wildcard of ['#', '+/#', '+/x', '+']) {
    t.notOk(allows([wildcard], '$x/x') || allows([wildcard], '$x'), wildcard)
    t.notOk(grants([wildcard], '$x/#') || grants([wildcard], '$x/x') || grants([wildcard], '$x'), wildcard)
  }
  t.same(readAcl({ subscribe: ['$x/#'] }), { ok: true, acl: { publish: [], subscribe: ['$x/#'] } })
  t.ok(allows(['$x/#'], '$x/a') && allows(['$x/#'], '$x') && grants(['$x/#'], '$x/+'))
  t.notOk(allows(['$x/#'], '$y') || grants(['$x/#'], '$xy/#') || grants(['$x/#'], '#'))
  t.ok(allows('everything', '$x/a') && grants('everything', '$x/#') && grants('everything', '#'))
})

function reachesNoMailbox(t: Test, everything: Granted): void {
  for (const topic of [
    'inbox/p',
    'inbox/p/1',
    'inbox',
    'stream/p',
    'stream/p/hello',
    'uplink/p/c',
    'uplink',
    '$SYS/x',
    '$share/g/a',
  ]) {
    t.notOk(allows(everything, topic), topic)
  }
  for (const filter of [
    'inbox/p',
    'inbox/+',
    'inbox/#',
    'stream/p',
    'uplink/+/c',
    '$SYS/#',
    '$share/g/a',
    '$share/g/inbox/p',
  ]) {
    t.notOk(grants(everything, filter), filter)
  }
}

void t.test('acl: one grant must cover, several do not add up', async (t) => {
  t.ok(grants(['x', 'a/+'], 'a/b'))
  t.notOk(grants(['a/+', 'a/+/+/#'], 'a/+/#'), 'each has a part of it')
  t.ok(allows(['x', 'a/+'], 'a/b'))
  t.notOk(allows(NO_GRANTS.publish, 'a'))
  t.notOk(grants(NO_GRANTS.subscribe, 'a'))
  t.ok(allows(ALL_GRANTS.publish, 'a/b') && grants(ALL_GRANTS.subscribe, '#'))
})

void t.test('acl: reading one; what is left out is empty', async (t) => {
  t.same(readAcl(undefined), { ok: true, acl: { publish: [], subscribe: [] } })
  t.same(readAcl({}), { ok: true, acl: { publish: [], subscribe: [] } })
  t.same(readAcl({ publish: ['a/+'] }), { ok: true, acl: { publish: ['a/+'], subscribe: [] } })
  t.same(readAcl({ subscribe: ['#', '+/x'] }), { ok: true, acl: { publish: [], subscribe: ['#', '+/x'] } })
  t.ok(readAcl({ subscribe: Array.from({ length: ACL_FILTERS_MAX }, () => 'a') }).ok)
  t.ok(readAcl({ subscribe: ['x'.repeat(ACL_FILTER_MAX_BYTES)] }).ok)
})

void t.test('acl: one that is malformed or too large is refused as a whole, and where is said', async (t) => {
  const cases: ReadonlyArray<readonly [value: unknown, path: string, problem: RegExp]> = [
    [null, '', /object/],
    [[], '', /object/],
    ['a', '', /object/],
    [{ subscibe: ['a'] }, '', /publish and subscribe/],
    [JSON.parse('{"__proto__": ["a"]}'), '', /publish and subscribe/],
    [{ publish: 'a' }, 'publish', /array/],
    [{ publish: null }, 'publish', /array/],
    [{ publish: { 0: 'a', length: 1 } }, 'publish', /array/],
    [{ publish: ['ok', 1] }, 'publish[1]', /string/],
    [{ publish: ['a#'] }, 'publish[0]', /not an MQTT filter/],
    [{ publish: [''] }, 'publish[0]', /not an MQTT filter/],
    [{ publish: ['a\0'] }, 'publish[0]', /not an MQTT filter/],
    [{ subscribe: ['inbox/phone-2'] }, 'subscribe[0]', /inbox/],
    [{ subscribe: ['inbox/#'] }, 'subscribe[0]', /inbox/],
    [{ subscribe: ['stream/+'] }, 'subscribe[0]', /inbox/],
    [{ publish: ['uplink/phone-2/#'] }, 'publish[0]', /inbox/],
    [{ subscribe: ['$SYS/#'] }, 'subscribe[0]', /\$/],
    [{ subscribe: ['$share/g/a'] }, 'subscribe[0]', /\$/],
    [{ subscribe: Array.from({ length: ACL_FILTERS_MAX + 1 }, () => 'a') }, 'subscribe', /at most 100/],
    [{ subscribe: ['x'.repeat(ACL_FILTER_MAX_BYTES + 1)] }, 'subscribe[0]', /at most 512 bytes/],
    [{ subscribe: ['é'.repeat(ACL_FILTER_MAX_BYTES / 2 + 1)] }, 'subscribe[0]', /at most 512 bytes/],
  ]
  for (const [value, at, problem] of cases)
    t.match(readAcl(value), { ok: false, path: at, problem }, JSON.stringify(value))
})

void t.test('acl: a grant is measured in UTF-8 bytes', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 100, maxLength: 400 }), (text) => {
      assert.equal(
        grantProblem(text)?.startsWith('a filter has at most') ?? false,
        Buffer.byteLength(text, 'utf8') > ACL_FILTER_MAX_BYTES,
      )
    }),
  )
})
