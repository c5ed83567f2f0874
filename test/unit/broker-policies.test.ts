import * as fc from 'fast-check'
import t from 'tap'
import { isRevoked, judgeConnect, judgeIdentity, type NodeLoad } from '../../broker/connect-policy.js'
import {
  decideSubscribe,
  decideUnsubscribe,
  mailboxSubscription,
  type FilterLimits,
  type MailboxSubscription,
} from '../../broker/subscribe-policy.js'

const PLAIN: MailboxSubscription = { filter: 'inbox/p1', mode: 'plain' }
const WITH_SEQ: MailboxSubscription = { filter: 'inbox/p1/+', mode: 'plain-seq' }
const IDLE: NodeLoad = { draining: false, over: () => null }
const LIMITS: FilterLimits = { maxFilters: 12, maxTopicBytes: 200, maxTopicLevels: 5 }

/** The answers to `filters` (QoS 1) as codes or reasons. */
function answers(active: MailboxSubscription | null, ...filters: Array<string | [string, number]>): unknown {
  const requested = filters.map((filter) =>
    typeof filter === 'string' ? { topic: filter, qos: 1 } : { topic: filter[0], qos: filter[1] },
  )
  const decision = decideSubscribe('p1', active, requested, LIMITS)
  if (decision.kind === 'violation') return decision.error
  return decision.answers.map((answer) => (answer.granted === 1 ? 1 : answer.reason))
}

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
    ['not_built', 'foreign', 'reserved', 'system', 'reserved', 'reserved', 'reserved'],
  )
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
      fc.array(fc.tuple(filter, fc.integer({ min: 0, max: 2 })), { minLength: 1, maxLength: 2 * LIMITS.maxFilters }),
      fc.constantFrom(null, PLAIN, WITH_SEQ),
      (list, active) => {
        const decision = decideSubscribe(
          'p1',
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
  for (const kept of ['stream/p1', 'inbox/p2', 'a/b', 'inbox/#', ''])
    t.equal(mailboxSubscription('p1', kept), null, kept)
})

void t.test('connect policy: id, then load', async (t) => {
  const judge = (clientId: string, load = IDLE): number | null =>
    judgeConnect({ clientId, username: undefined, hasWill: false }, load)?.code ?? null
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
  const judge = (username: string | undefined, subject: string, hasWill = false): unknown =>
    judgeIdentity({ clientId: 'p1', username, hasWill }, subject)?.result ?? null
  t.equal(judge('p1', 'p1'), null)
  t.equal(judge('', 'p1'), null)
  t.equal(judge(undefined, 'p1'), null)
  t.equal(judge('p1', 'p2'), 'wrong_subject')
  t.equal(judge('p2', 'p1'), 'wrong_username')
  t.equal(judge('p1', 'p1', true), 'will_refused')
  t.equal(judgeIdentity({ clientId: 'p1', username: 'p2', hasWill: false }, 'p1')?.code, 5)
})

void t.test('connect policy: a revocation covers tokens issued at its instant', async (t) => {
  t.equal(isRevoked(1_000, null), false)
  t.equal(isRevoked(1_000, 999), false)
  t.equal(isRevoked(1_000, 1_000), true)
  t.equal(isRevoked(1_000, 1_001), true)
})
