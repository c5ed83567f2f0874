import t from 'tap'
import { judgePublish, judgeWill, type Publisher } from '../../broker/publish-policy.js'

const p1: Publisher = { device: 'p1', hasMailbox: true, mayPublish: (topic) => topic.startsWith('a') }

/** The road as one word. */
function road(topic: string, qos = 1, publisher = p1, judge = judgePublish): string {
  const verdict = judge({ topic, qos }, publisher)
  if (verdict.kind === 'denied') return verdict.reason
  if (verdict.kind === 'uplink') return `uplink ${verdict.channel}`
  return verdict.kind === 'control' ? `control ${verdict.control}` : 'ordinary'
}

void t.test('publish policy: the own uplink and control frames', async (t) => {
  t.equal(road('uplink/p1/a'), 'uplink a')
  t.equal(road('uplink/p1/a/b/', 0), 'uplink a/b/')
  for (const control of ['hello', 'ack', 'uplink']) t.equal(road(`stream/p1/${control}`), `control ${control}`)
  t.equal(road('uplink/p1/a', 2), 'qos_2')
  t.equal(road('stream/p1/ack', 2), 'qos_2')
})

void t.test(
  'publish policy: nothing of another device, no mailbox topic, no topic of the system, whatever is granted',
  async (t) => {
    const anything = { ...p1, mayPublish: () => true }
    for (const topic of ['uplink/p2/a', 'stream/p2/hello', 'uplink/__proto__/a'])
      t.equal(road(topic, 1, anything), 'foreign')
    for (const topic of [
      'inbox',
      'inbox/p1',
      'inbox/p1/1',
      'inbox/p2',
      'stream/p1',
      'stream/p1/x',
      'uplink/p1',
      'uplink/p1/',
      'uplink//a',
    ]) {
      t.equal(road(topic, 1, anything), 'reserved', topic)
    }
    for (const topic of ['$SYS/x', '$share/g/a', '$SYS']) t.equal(road(topic, 1, anything), 'system', topic)
    for (const topic of ['', 'a/+', 'a/#', 'a\0', 'a\uFFFD']) t.equal(road(topic, 1, anything), 'malformed')
    const outside = { ...anything, device: 'p1/x', hasMailbox: false }
    t.equal(road('uplink/p1/x', 1, outside), 'foreign')
    t.equal(road('uplink/p1', 1, { ...outside, device: 'p1' }), 'reserved')
  },
)

void t.test('publish policy: ordinary topics need a grant', async (t) => {
  t.equal(road('a/b', 2), 'ordinary')
  t.equal(road('b'), 'no_grant')
  t.equal(road('Inbox/p1'), 'no_grant', 'topics are case sensitive [MQTT-4.7.3-4]')
  t.equal(road('/inbox/p1', 1, { ...p1, mayPublish: () => true }), 'ordinary', 'another first level')
})

void t.test('publish policy: a will is a publish, but no control frame', async (t) => {
  t.equal(road('a/b', 1, p1, judgeWill), 'ordinary')
  t.equal(road('uplink/p1/gone', 1, p1, judgeWill), 'uplink gone')
  t.equal(road('stream/p1/ack', 1, p1, judgeWill), 'reserved')
  t.equal(road('uplink/p2/gone', 1, p1, judgeWill), 'foreign')
  t.equal(road('b', 1, p1, judgeWill), 'no_grant')
})
