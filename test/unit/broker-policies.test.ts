import * as fc from 'fast-check'
import t from 'tap'
import { isRevoked, judgeConnect, judgeIdentity, type NodeLoad } from '../../broker/connect-policy.js'
import {
  decideSubscribe,
  decideUnsubscribe,
  mailboxSubscription,
  type FilterLimits,
  type MailboxSubscription,
  type RequestedFilter,
  type Subscriber,
} from '../../broker/subscribe-policy.js'
import { grants, type Acl } from '../../protocol/acl.js'

const PLAIN: MailboxSubscription = { filter: 'inbox/p1', mode: 'plain' }
const WITH_SEQ: MailboxSubscription = { filter: 'inbox/p1/+', mode: 'plain-seq' }
const IDLE: NodeLoad = { draining: false, over: () => null }
const LIMITS: FilterLimits = { maxFilters: 12, maxSubscriptions: 5, maxTopicBytes: 200, maxTopicLevels: 5 }

const P1: Subscriber = {
  device: 'p1',
  hasMailbox: true,
  family: null,
  refuses: () => 'no_grant',
  subscribed: new Set(),
}
const GRANTED: Subscriber = { ...P1, refuses: (filter) => (grants(['g/#', '+/x'], filter) ? null : 'no_grant') }

type Filters = ReadonlyArray<string | readonly [string, 0 | 1 | 2]>
const request = (filters: Filters): RequestedFilter[] =>
  filters.map((filter) =>
    typeof filter === 'string' ? { topic: filter, qos: 1 } : { topic: filter[0], qos: filter[1] },
  )

/** The answers to `filters` (QoS 1) as codes or reasons. */
function answersTo(subscriber: Subscriber, active: MailboxSubscription | null, filters: Filters): unknown {
  const decision = decideSubscribe(subscriber, active, request(filters), LIMITS)
  if (decision.kind === 'violation') return decision.error
  return decision.answers.map((answer) => (answer.granted === 0x80 ? answer.reason : answer.granted))
}
const answers = (active: MailboxSubscription | null, ...filters: Filters): unknown => answersTo(P1, active, filters)

void t.test('subscribe policy: the own mailbox in its two forms', async (t) => {
  t.same(answers(null, 'inbox/p1'), [1])
  t.same(answers(null, 'inbox/p1/+'), [1])
  t.same(answers(null, ['inbox/p1', 2]), [1], 'QoS 2 is granted 1')
  t.same(answers(null, ['inbox/p1', 0]), ['qos_0'])
  t.same(answers(PLAIN, 'inbox/p1'), [1], 'again')
  t.same(answers(PLAIN, 'inbox/p1/+'), ['other_mode'])
  t.same(answers(null, 'inbox/p1/+', 'inbox/p1'), [1, 'other_mode'], 'the first one sets the mode')
  t.same(answers(null, 'inbox/p1', 'inbox/p1'), [1, 1], 'listed twice: two answers')
  t.same(answers(null, ['inbox/p1', 0], 'inbox/p1'), ['qos_0', 1])
})

void t.test('subscribe policy: everything else is refused, in its place', async (t) => {
  t.same(answers(null, 'inbox/p2', 'a/b', 'inbox/p1', '$SYS/#', '#', '+/p1', '+/+', 'inbox/#', 'inbox/+'), [
    'foreign',
    'no_grant',
    1,
    'system',
    'no_grant',
    'no_grant',
    'no_grant',
    'reserved',
    'reserved',
  ])
  t.same(
    answers(null, 'stream/p1', 'stream/p2', 'uplink/p1/a', '$share/g/inbox/p1', 'inbox/p1/1', 'inbox/p1/#', 'inbox'),
    [1, 'foreign', 'reserved', 'system', 'reserved', 'reserved', 'reserved'],
  )
})

void t.test('subscribe policy: between plain and stream mode a connection never changes', async (t) => {
  t.same(answers(null, 'stream/p1', 'inbox/p1', 'stream/p1'), [1, 'other_mode', 1])
  t.same(answers(null, 'inbox/p1', 'stream/p1'), [1, 'other_mode'])
  const plain: Subscriber = { ...P1, family: 'plain' }
  t.same(answersTo(plain, null, ['stream/p1', 'inbox/p1/+']), ['other_mode', 1], 'after UNSUBSCRIBE too')
  t.same(answersTo({ ...P1, family: 'stream' }, null, ['inbox/p1', 'stream/p1']), ['other_mode', 1])
})

void t.test('subscribe policy: filters over a limit are refused, each for itself', async (t) => {
  t.same(answers(null, 'a/b/c/d/e/f', `inbox/${'x'.repeat(200)}`, 'ä'.repeat(101), 'inbox/p1', '/////'), [
    'too_deep',
    'too_long',
    'too_long',
    1,
    'too_deep',
  ])
  t.same(answers(null, ...Array.from({ length: 14 }, () => 'inbox/p1')), [
    ...Array.from({ length: 12 }, () => 1),
    'too_many',
    'too_many',
  ])
  const many = Array.from({ length: 13 }, () => 'inbox/p1')
  t.match(decideUnsubscribe(PLAIN, many, LIMITS), { kind: 'violation', error: 'too_many_filters' })
})

void t.test('subscribe policy: ordinary filters that are granted, with the QoS that is asked for', async (t) => {
  const list: Filters = [
    'g/a',
    ['g/+/b', 0],
    ['g/#', 2],
    '+/x',
    '#',
    'h',
    ['inbox/p1', 2],
    'g/a',
    '+/p1',
    '$share/x/g/a',
  ]
  t.same(answersTo(GRANTED, null, list), [1, 0, 2, 1, 'no_grant', 'no_grant', 1, 1, 'no_grant', 'system'])
  const decision = decideSubscribe(GRANTED, null, request(list), LIMITS)
  t.match(decision, { active: PLAIN })
  t.same(
    decision.kind === 'answer' ? decision.ordinary.map(({ topic, qos }) => [topic, qos]) : null,
    [
      ['g/a', 1],
      ['g/+/b', 0],
      ['g/#', 2],
      ['+/x', 1],
      ['g/a', 1],
    ],
    'in order, one that is there twice counts twice [MQTT-3.8.4-4]',
  )
  const all: Subscriber = { ...P1, refuses: () => null }
  t.same(answersTo(all, null, ['#', '+/+', 'inbox/p2', 'uplink/p1/a', '$SYS/#']), [
    1,
    1,
    'foreign',
    'reserved',
    'system',
  ])
  t.same(
    answersTo({ ...all, subscribed: new Set(['a', 'b', 'c']) }, null, ['x', 'a', ['x', 2], 'y', 'z', 'b', 'inbox/p1']),
    [1, 1, 2, 1, 'too_many', 1, 1],
    'so many of a device, those that it has excepted',
  )
  t.same(answersTo({ ...all, hasMailbox: false }, null, ['inbox/p1', 'a']), ['foreign', 1], 'no mailbox')
})

void t.test('subscribe policy: what is no filter, or no list, is a violation', async (t) => {
  for (const filter of ['', 'a+', '+a', 'a#', '#/a', 'inbox/p1+', 'a\0b', 'inbox/\uFFFD']) {
    t.equal(answers(null, 'inbox/p1', filter), 'malformed_filter', JSON.stringify(filter))
    t.match(decideUnsubscribe(PLAIN, [filter], LIMITS), { kind: 'violation', error: 'malformed_filter' })
  }
  t.equal(answers(null), 'empty_list')
  t.match(decideUnsubscribe(PLAIN, [], LIMITS), { kind: 'violation', error: 'empty_list' })
})

void t.test('subscribe policy: one code for each filter, and at most one mode', async () => {
  const filter = fc.constantFrom('inbox/p1', 'inbox/p1/+', 'inbox/p2', 'a', '#', '$SYS/a', 'stream/p1', 'inbox/+')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(filter, fc.constantFrom<0 | 1 | 2>(0, 1, 2)), {
        minLength: 1,
        maxLength: 2 * LIMITS.maxFilters,
      }),
      fc.constantFrom(null, PLAIN, WITH_SEQ),
      (list, active) => {
        const decision = decideSubscribe(
          P1,
          active,
          list.map(([topic, qos]) => ({ topic, qos })),
          LIMITS,
        )
        if (decision.kind !== 'answer') return false
        const granted = list.filter((_, i) => decision.answers[i]?.granted === 1).map(([topic]) => topic)
        return (
          decision.answers.length === list.length &&
          granted.every((topic) => topic === decision.active?.filter) &&
          (active === null || decision.active === active)
        )
      },
    ),
  )
})

void t.test('subscribe policy: UNSUBSCRIBE ends the subscription that it names', async (t) => {
  t.match(decideUnsubscribe(PLAIN, ['a', 'inbox/p1'], LIMITS), { kind: 'answer', active: null })
  t.match(decideUnsubscribe(PLAIN, ['inbox/p1/+', '#'], LIMITS), { kind: 'answer', active: PLAIN })
  t.match(decideUnsubscribe(null, ['inbox/p1'], LIMITS), { kind: 'answer', active: null })
})

void t.test('subscribe policy: a kept filter counts only if it is one that is served', async (t) => {
  t.same(mailboxSubscription('p1', 'inbox/p1/+'), WITH_SEQ)
  t.same(mailboxSubscription('p1', 'stream/p1'), { filter: 'stream/p1', mode: 'stream' })
  for (const kept of ['stream/p2', 'inbox/p2', 'a/b', 'inbox/#', ''])
    t.equal(mailboxSubscription('p1', kept), null, kept)
})

void t.test('connect policy: id, then load', async (t) => {
  const judge = (clientId: string, load = IDLE): number | null =>
    judgeConnect({ clientId, clean: true }, load, 'token')?.code ?? null
  t.equal(judge('phone-1'), null)
  for (const id of ['', '.', '..', 'a/b', 'a b', 'ä', 'a#', 'x'.repeat(129), 'a\0']) t.equal(judge(id), 2, id)
  t.equal(judge('__proto__'), null, 'a legal id')
  let counted = 0
  const full = (draining: boolean): NodeLoad => ({
    draining,
    over() {
      counted++
      return 'overloaded'
    },
  })
  t.equal(judge('a/b', full(true)), 2)
  t.equal(judge('phone-1', full(true)), 3)
  t.equal(counted, 0, 'what is refused anyway uses up no rate')
  t.equal(judge('phone-1', full(false)), 3)
  t.equal(counted, 1)
})

void t.test('connect policy: the token, the username and the will must be the device’s own', async (t) => {
  const acl: Acl = { publish: ['g/#'], subscribe: [] }
  const judge = (username: string | undefined, subject: string, topic?: string): unknown => {
    const will = topic === undefined ? null : ({ topic, payload: Buffer.from('x'), qos: 1, retain: true } as const)
    return judgeIdentity({ clientId: 'p1', username, will }, subject, acl)?.result ?? null
  }
  t.equal(judge('p1', 'p1'), null)
  t.equal(judge('', 'p1'), null)
  t.equal(judge(undefined, 'p1'), null)
  t.equal(judge('p1', 'p2'), 'wrong_subject')
  t.equal(judge('p2', 'p1'), 'wrong_username')
  t.equal(judge('p1', 'p1', 'g/gone'), null, 'a will that is granted')
  for (const topic of ['h', 'g/+', 'inbox/p1', 'inbox/p2', 'stream/p1/ack', 'uplink/p2/a', '$SYS/x', '']) {
    t.equal(judge('p1', 'p1', topic), 'will_refused', topic)
  }
  t.equal(judgeIdentity({ clientId: 'p1', username: 'p2', will: null }, 'p1', acl)?.code, 5)
})

void t.test('connect policy: without tokens any id that MQTT allows [MQTT-3.1.3-5], [MQTT-3.1.3-8]', async (t) => {
  const judge = (clientId: string, clean = false): number | null =>
    judgeConnect({ clientId, clean }, IDLE, 'none')?.code ?? null
  for (const id of ['a/b', 'a b', '..', '#', 'ä', '\u{1F4E8}'.repeat(128), 'x'.repeat(128)])
    t.equal(judge(id), null, id)
  for (const id of ['x'.repeat(129), 'a\0', 'a\uFFFD', '']) t.equal(judge(id), 2, id)
  t.equal(judge('', true), null, 'the empty id, with clean session')
})

void t.test('connect policy: a revocation covers tokens issued at its instant', async (t) => {
  t.equal(isRevoked(1_000, null), false)
  t.equal(isRevoked(1_000, 999), false)
  t.equal(isRevoked(1_000, 1_000), true)
  t.equal(isRevoked(1_000, 1_001), true)
})
