import * as fc from 'fast-check'
import t from 'tap'
import { Retained } from '../../broker/pubsub/retained.js'
import { TopicIndex } from '../../broker/pubsub/topic-index.js'
import { matches } from '../../protocol/acl.js'

/** Names that meet often, empty levels and `$` among them. */
const anyLevel = fc.constantFrom('a', 'b', 'c', '', '$x', 'ä')
const anyTopic = fc
  .array(anyLevel, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((text) => text !== '')
const anyFilter = fc
  .tuple(fc.array(fc.oneof(anyLevel, fc.constant('+')), { maxLength: 4 }), fc.boolean())
  .map(([levels, multi]) => [...levels, ...(multi ? ['#'] : [])].join('/'))
  .filter((text) => text !== '')
const anySubscriber = fc.constantFrom('s1', 's2', 's3')
const anyQos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)

function newRetained() {
  const counters = { retained: 0, retainedBytes: 0 }
  return { counters, retained: new Retained(counters) }
}

const message = (topic: string, payload = 'x', qos: 0 | 1 | 2 = 0) => ({
  topic,
  payload: Buffer.from(payload),
  qos,
  retain: true,
})

void t.test('topic index: the examples of the standard [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.2-1]', async (t) => {
  const found = (filter: string, topic: string): boolean => {
    const index = new TopicIndex<string>()
    index.add(filter, 's', 1)
    return index.match(topic).has('s')
  }
  for (const topic of [
    'sport/tennis/player1',
    'sport/tennis/player1/ranking',
    'sport/tennis/player1/score/wimbledon',
  ]) {
    t.ok(found('sport/tennis/player1/#', topic), topic)
  }
  t.ok(found('sport/#', 'sport'), '# includes the parent level')
  t.ok(found('#', 'a/b'))
  t.ok(found('sport/tennis/+', 'sport/tennis/player1'))
  t.notOk(found('sport/tennis/+', 'sport/tennis/player1/ranking'))
  t.notOk(found('sport/+', 'sport'))
  t.ok(found('sport/+', 'sport/'))
  t.ok(found('+/+', '/finance'))
  t.ok(found('/+', '/finance'))
  t.notOk(found('+', '/finance'))
  t.notOk(found('#', '$SYS/x'))
  t.notOk(found('+/monitor/Clients', '$SYS/monitor/Clients'))
  t.ok(found('$SYS/#', '$SYS/monitor/Clients'))
  t.notOk(found('ACCOUNTS', 'Accounts'), 'case sensitive [MQTT-4.7.3-4]')
})

void t.test(
  'topic index: a subscriber is found once, with the highest QoS of its filters [MQTT-3.3.5-1]',
  async (t) => {
    const index = new TopicIndex<string>()
    index.add('a/+', 's', 1)
    index.add('a/b', 's', 2)
    index.add('#', 's', 0)
    index.add('a/#', 't', 0)
    t.same(
      [...index.match('a/b')].toSorted(([a], [b]) => (a < b ? -1 : 1)),
      [
        ['s', 2],
        ['t', 0],
      ],
    )
    index.add('a/b', 's', 0)
    t.equal(index.match('a/b').get('s'), 1, 'the same filter again replaces [MQTT-3.8.4-3]')
    index.remove('a/+', 's')
    t.equal(index.match('a/b').get('s'), 0)
  },
)

void t.test('topic index: matches what the filters match, after any additions and removals', async () => {
  const step = fc.record({ add: fc.boolean(), filter: anyFilter, subscriber: anySubscriber, qos: anyQos })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(anyTopic, { maxLength: 10 }), (steps, topics) => {
      const index = new TopicIndex<string>()
      const all = new Map<string, { filter: string; subscriber: string; qos: number }>()
      for (const { add, filter, subscriber, qos } of steps) {
        const key = `${subscriber} ${filter}`
        if (add) {
          index.add(filter, subscriber, qos)
          all.set(key, { filter, subscriber, qos })
        } else {
          index.remove(filter, subscriber)
          all.delete(key)
        }
      }
      return topics.every((topic) => {
        const expected = new Map<string, number>()
        for (const { filter, subscriber, qos } of all.values()) {
          if (matches(filter, topic)) expected.set(subscriber, Math.max(qos, expected.get(subscriber) ?? 0))
        }
        const found = index.match(topic)
        return found.size === expected.size && [...expected].every(([name, most]) => found.get(name) === most)
      })
    }),
    { numRuns: 500 },
  )
})

void t.test('retained: matches what the filter matches, after any changes', async () => {
  const step = fc.record({ topic: anyTopic, empty: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), fc.array(anyFilter, { maxLength: 10 }), (steps, filters) => {
      const { retained, counters } = newRetained()
      const topics = new Set<string>()
      for (const { topic, empty } of steps) {
        retained.set(message(topic, empty ? '' : 'payload'))
        if (empty) topics.delete(topic)
        else topics.add(topic)
      }
      const bytes = [...topics].reduce((sum, topic) => sum + topic.length + 'payload'.length, 0)
      if (counters.retained !== topics.size || counters.retainedBytes !== bytes) return false
      return filters.every((filter) => {
        const found = retained.match(filter).map(({ topic }) => topic)
        const expected = [...topics].filter((topic) => matches(filter, topic))
        return found.length === expected.length && expected.every((topic) => found.includes(topic))
      })
    }),
    { numRuns: 500 },
  )
})

void t.test('retained: the last message of a topic stays, an empty one takes it away [MQTT-3.3.1-10]', async (t) => {
  const { retained, counters } = newRetained()
  retained.set(message('a', 'one', 1))
  t.same(retained.growth(message('a', 'longer')), { count: 0, bytes: 3 })
  t.same(retained.growth(message('b', 'x')), { count: 1, bytes: 2 })
  t.same(retained.growth(message('a', '')), { count: -1, bytes: -4 })
  retained.set(message('a', 'two', 0))
  t.same(
    retained.match('a').map(({ payload, qos }) => [Buffer.from(payload).toString(), qos]),
    [['two', 0]],
  )
  retained.set(message('a', ''))
  retained.set(message('never', ''))
  t.same([retained.match('#'), counters.retained, counters.retainedBytes], [[], 0, 0])
})
