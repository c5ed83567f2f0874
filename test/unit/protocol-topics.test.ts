import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import t from 'tap'
import {
  classifyFilter,
  classifyTopic,
  inboxSeqTopic,
  inboxTopic,
  isValidFilter,
  isValidTopic,
  streamTopic,
  UPLINK_CHANNEL_MAX_BYTES,
} from '../../protocol/topics.js'

const deviceId = fc.stringMatching(/^[A-Za-z0-9._:@-]{1,128}$/)
const level = fc.oneof(
  fc.constantFrom(
    '',
    '+',
    '#',
    'inbox',
    'stream',
    'uplink',
    '$SYS',
    '$share',
    'a+',
    '#a',
    'hello',
    'ack',
    'INBOX',
    ' inbox',
  ),
  fc.string({ maxLength: 5 }),
)
const anyTopic = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'))

t.test('topics: the mailbox forms', async (t) => {
  t.strictSame(classifyFilter('inbox/d'), { kind: 'mailbox', mode: 'plain', device: 'd' })
  t.strictSame(classifyFilter('inbox/d/+'), { kind: 'mailbox', mode: 'plain-seq', device: 'd' })
  t.strictSame(classifyFilter('stream/d'), { kind: 'mailbox', mode: 'stream', device: 'd' })
})

t.test('topics: a filter that begins with a mailbox level and is no form of it is refused', async (t) => {
  const filters = [
    'inbox',
    'inbox/',
    'inbox/+',
    'inbox/#',
    'inbox/d/#',
    'inbox/d/1',
    'inbox/d/',
    'inbox/d/+/x',
    'inbox/+/+',
    'inbox//+',
  ]
  const more = [
    'stream',
    'stream/#',
    'stream/+',
    'stream/d/+',
    'stream/d/hello',
    'uplink/d',
    'uplink/#',
    'uplink/d/a',
    'uplink',
  ]
  for (const filter of [...filters, ...more]) t.strictSame(classifyFilter(filter), { kind: 'reserved' }, filter)
})

t.test('topics: filters on the system and shared ones are refused, other $ topics are ordinary', async (t) => {
  for (const filter of [
    '$SYS',
    '$SYS/#',
    '$SYS/+/new/clients',
    '$share/g/a',
    '$share',
    '$share//a',
    '$share/g/inbox/d',
  ]) {
    t.strictSame(classifyFilter(filter), { kind: 'system' }, filter)
  }
  for (const filter of ['$', '$/x', '$x', '$x/#', '$x/+', '$queue/inbox/d', '$SYSTEM/#', '$sys/x', '$shared/g/a']) {
    t.strictSame(classifyFilter(filter), { kind: 'ordinary' }, filter)
  }
})

t.test('topics: wildcards at the first level, other cases and spaces are ordinary', async (t) => {
  for (const filter of [
    '#',
    '+',
    '+/d',
    '+/+',
    '+/#',
    'Inbox/d',
    'inbox ',
    ' inbox/d',
    '/inbox/d',
    'sensors/+/x',
    '/',
    '//',
  ]) {
    t.strictSame(classifyFilter(filter), { kind: 'ordinary' }, filter)
  }
})

t.test('topics: malformed filters [MQTT-4.7.1]', async (t) => {
  for (const filter of [
    '',
    'a+',
    '+a',
    'a/b+',
    'a#',
    '#/a',
    'a/#/b',
    'inbox/d+',
    'inbox/d/#x',
    '\u0000',
    'a\ufffd',
    '##',
    '++',
  ]) {
    t.notOk(isValidFilter(filter), JSON.stringify(filter))
    t.strictSame(classifyFilter(filter), { kind: 'malformed' }, JSON.stringify(filter))
  }
})

t.test('topics: uplink and control topics', async (t) => {
  t.strictSame(classifyTopic('uplink/d/c'), { kind: 'uplink', device: 'd', channel: 'c' })
  t.strictSame(classifyTopic('uplink/d/c/1//x'), { kind: 'uplink', device: 'd', channel: 'c/1//x' })
  for (const [unit, bytes] of [
    ['c', 1],
    ['ü', 2],
    ['☂', 3],
    ['\u{1f600}', 4],
  ] as const) {
    const longest = unit.repeat(Math.floor(UPLINK_CHANNEL_MAX_BYTES / bytes))
    t.strictSame(classifyTopic(`uplink/d/${longest}`), { kind: 'uplink', device: 'd', channel: longest })
    t.strictSame(classifyTopic(`uplink/d/${longest}${unit}`), { kind: 'reserved' }, 'too long')
  }
  for (const control of ['hello', 'ack', 'uplink'] as const) {
    t.strictSame(classifyTopic(`stream/d/${control}`), { kind: 'control', device: 'd', control })
  }
})

t.test('topics: nothing else under a mailbox level may be published to', async (t) => {
  const topics = ['inbox', 'inbox/d', 'inbox/d/1', 'stream/d', 'stream/d/other', 'stream/d/hello/x', 'stream//hello']
  for (const topic of [...topics, 'uplink', 'uplink/d', 'uplink/d/', 'uplink//c', 'uplink/d//c', 'stream', 'inbox/']) {
    t.strictSame(classifyTopic(topic), { kind: 'reserved' }, topic)
  }
  for (const topic of ['$SYS/x', '$SYS', '$share/g/inbox/d']) t.strictSame(classifyTopic(topic), { kind: 'system' })
  for (const topic of ['$', '$x/a', '$SYSTEM/x']) t.strictSame(classifyTopic(topic), { kind: 'ordinary' })
  t.strictSame(classifyTopic('sensors/1'), { kind: 'ordinary' })
  for (const topic of ['', 'a/+', '#', 'a#b', 'uplink/d/+', 'a\u0000']) {
    t.notOk(isValidTopic(topic))
    t.strictSame(classifyTopic(topic), { kind: 'malformed' }, JSON.stringify(topic))
  }
})

t.test('topics: what is built is recognised, for any device id', async () => {
  fc.assert(
    fc.property(deviceId, fc.nat(), (device, seq) => {
      assert.deepEqual(classifyFilter(inboxTopic(device)), { kind: 'mailbox', mode: 'plain', device })
      assert.deepEqual(classifyFilter(streamTopic(device)), { kind: 'mailbox', mode: 'stream', device })
      assert.deepEqual(classifyFilter(`${inboxTopic(device)}/+`), { kind: 'mailbox', mode: 'plain-seq', device })
      assert.ok(isValidTopic(inboxSeqTopic(device, seq)))
      assert.equal(inboxSeqTopic(device, seq).split('/')[2], `${seq}`)
      assert.deepEqual(classifyTopic(inboxTopic(device)), { kind: 'reserved' }, 'only the server publishes there')
    }),
  )
})

/** [MQTT-4.7.1], [MQTT-4.7.2-1]: what a filter matches, straight from the clauses. */
function matches(filter: string, topic: string): boolean {
  const [f, l] = [filter.split('/'), topic.split('/')]
  if (topic.startsWith('$') && (f[0] === '+' || f[0] === '#')) return false
  for (const [i, part] of f.entries()) {
    if (part === '#') return true
    if (i >= l.length || (part !== '+' && part !== l[i])) return false
  }
  return f.length === l.length
}

t.test('topics: a mailbox filter matches topics of its own device alone', async (t) => {
  fc.assert(
    fc.property(anyTopic, deviceId, (filter, other) => {
      const kind = classifyFilter(filter)
      if (kind.kind !== 'mailbox' || kind.device === other) return true
      return ![inboxTopic(other), inboxSeqTopic(other, 1), streamTopic(other)].some((topic) => matches(filter, topic))
    }),
    { numRuns: 500 },
  )
  t.pass()
})

t.test('topics: every string has exactly one kind, and only well-formed ones are more than malformed', async () => {
  fc.assert(
    fc.property(fc.oneof(anyTopic, fc.string({ unit: 'binary' })), (text) => {
      assert.equal(classifyFilter(text).kind === 'malformed', !isValidFilter(text))
      assert.equal(classifyTopic(text).kind === 'malformed', !isValidTopic(text))
      if (isValidTopic(text)) assert.ok(isValidFilter(text), 'a topic is a filter for itself')
    }),
    { numRuns: 500 },
  )
})
