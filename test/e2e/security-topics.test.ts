// Attacks of one device on another: its inbox, its stream, its uplink. The attacker has a good token of his own, and grants as
// wide as a token can have, where that helps him.

import type { IPublishPacket } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { AttackedServer } from '../support/attacked-server.js'
import type { RawClient } from '../support/broker/raw-client.js'
import { until } from '../support/road/wait.js'

/** All that a token can grant. */
const EVERYTHING = { acl: { publish: ['#', '+/#', '+/+/+'], subscribe: ['#', '+/#', '+/+', '+/+/+', '/#'] } }

/** The SUBACK code of one filter. */
async function asks(client: RawClient, filter: string, qos: 0 | 1 | 2 = 1): Promise<number> {
  const answer = await client.subscribe(filter, 1, qos)
  return answer.cmd === 'suback' ? Number(answer.granted[0]) : -1
}

const publish = (topic: string, payload: string, more: { retain?: boolean; qos?: 0 | 1 | 2 } = {}): IPublishPacket => ({
  cmd: 'publish',
  topic,
  payload,
  retain: more.retain ?? false,
  qos: more.qos ?? 1,
  dup: false,
  messageId: 7,
})

let attackers = 0

/**
 * Publishes as an attacker of whom nobody has heard (how often one may connect is limited), and asserts that the connection is
 * closed for it and nothing acknowledged. `OWN` in a topic is the attacker's own id.
 */
async function isClosedFor(t: Test, attacked: AttackedServer, packet: IPublishPacket, what: string): Promise<void> {
  const device = `attacker-${attackers++}`
  const client = await attacked.attacker(EVERYTHING, device)
  client.send({ ...packet, topic: packet.topic.replace('OWN', device) })
  await client.untilClosed()
  t.notOk(
    client.packets.some(({ cmd }) => cmd === 'puback' || cmd === 'pubrec'),
    what,
  )
}

void t.test('security: reading another’s inbox by a wildcard', async (t) => {
  const attacked = await AttackedServer.start(t)
  const reserved = [
    'inbox/#',
    'inbox/+',
    'inbox/+/+',
    'inbox/+/#',
    'inbox/victim/#',
    'stream/#',
    'stream/+',
    'uplink/#',
    'uplink/+/+',
    'inbox/victim',
    'inbox/victim/+',
    'stream/victim',
  ]
  const wild = ['#', '+/victim', '+/#', '+/+', '+/+/+', '+/victim/+', '+']
  const bare = await attacked.attacker()
  for (const filter of [...reserved, ...wild]) t.equal(await asks(bare, filter), 0x80, filter)
  const granted = await attacked.attacker(EVERYTHING, 'granted')
  for (const filter of reserved) t.equal(await asks(granted, filter), 0x80, `${filter}, with all grants`)
  for (const filter of wild) t.equal(await asks(granted, filter, 2), 2, `${filter} is ordinary, and granted`)
  await attacked.victimReceives('wildcards')
  granted.send(publish('some/topic', 'a sign of life'))
  await until('an ordinary message to arrive', () => granted.texts.includes('a sign of life'))
  for (const client of [bare, granted]) attacked.sawNothing(client, 'no wildcard matches an inbox')
  t.notOk(granted.publishes.some(({ topic }) => /^(?:inbox|stream|uplink|\$)/.test(topic)))
  await attacked.judge()
})

void t.test(
  'security: reading another’s inbox by an id that begins like his, or a filter that looks like one',
  async (t) => {
    const attacked = await AttackedServer.start(t)
    // The attacker is named like the victim's beginning, and like the victim with more behind it.
    for (const device of ['vic', 'victim-2', 'victim.', 'Victim', 'VICTIM', 'victim:']) {
      const client = await attacked.attacker({}, device)
      t.equal(await asks(client, `inbox/${device}`), 1, 'the own one')
      for (const filter of [
        'inbox/victim',
        'inbox/victim/+',
        'inbox/victi+',
        `inbox/${device}/../victim`,
        `inbox/${device}//victim`,
      ]) {
        if (filter.includes('victi+')) continue
        t.equal(await asks(client, filter), 0x80, `${device}: ${filter}`)
      }
      await attacked.victimReceives(device)
      await attacked.pushTo(device, `for ${device}`)
      await until('its own', () => client.texts.length > 0)
      t.same(client.texts, [`for ${device}`])
    }
    const granted = await attacked.attacker(EVERYTHING)
    const lookalikes = [
      'Inbox/victim',
      'INBOX/victim',
      'inbox /victim',
      ' inbox/victim',
      '/inbox/victim',
      'inbox\u200b/victim',
      'іnbox/victim',
    ]
    for (const filter of lookalikes) await asks(granted, filter)
    for (const malformed of ['inbox/victi+', 'inbox/#victim', 'inbox/vic\0tim', '']) {
      const client = await attacked.attacker(EVERYTHING, 'malformed')
      client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: malformed, qos: 1 }] })
      await client.untilClosed()
    }
    await attacked.victimReceives('lookalikes')
    attacked.sawNothing(granted, 'what looks like an inbox is none')
    await attacked.judge()
  },
)

void t.test('security: reading another’s inbox by a shared subscription, or a topic of the system', async (t) => {
  const attacked = await AttackedServer.start(t)
  const client = await attacked.attacker(EVERYTHING)
  const filters = [
    '$share/g/inbox/victim',
    '$share/g/inbox/+',
    '$share/g/#',
    '$share//inbox/victim',
    '$share/g',
    '$queue/inbox/victim',
    '$SYS/#',
    '$SYS/+/new/clients',
    '$SYS/+/disconnect/clients',
    '$',
    '$/inbox/victim',
    '$inbox/victim',
  ]
  for (const filter of filters) t.equal(await asks(client, filter), 0x80, filter)
  // Aedes tells such a topic of each new client: nobody may hear it.
  await attacked.knock('newcomer', attacked.token('newcomer'))
  await attacked.victimReceives('shared subscriptions')
  t.same(client.publishes, [])
  for (const topic of ['$SYS/x', '$share/g/inbox/victim', '$SYS/broker/new/clients']) {
    await isClosedFor(t, attacked, publish(topic, 'forged'), topic)
  }
  t.notOk((await attacked.knock('victim-2', attacked.token('victim-2'))).client.closed)
  await attacked.victimReceives('topics of the system')
  await attacked.judge()
})

void t.test('security: writing into another’s inbox or stream, or acknowledging in his name', async (t) => {
  const attacked = await AttackedServer.start(t)
  const topics = [
    'inbox/victim',
    'inbox/victim/1',
    'inbox/OWN',
    'inbox',
    'stream/victim',
    'stream/victim/hello',
    'stream/victim/ack',
    'stream/victim/uplink',
    'stream/OWN',
  ]
  for (const topic of topics) {
    for (const qos of [0, 1, 2] as const) {
      await isClosedFor(t, attacked, publish(topic, 'forged', { qos }), `${topic} with QoS ${qos}`)
    }
  }
  await attacked.pushTo('sleeper', 'for the victim: unread')
  for (const topic of ['stream/sleeper/ack', 'stream/sleeper/hello']) {
    await isClosedFor(t, attacked, publish(topic, 'forged'), topic)
  }
  const { text } = await attacked.http('/v1/devices/sleeper')
  t.match(JSON.parse(text), { pending: 1, cursor: 0 }, 'what nobody acknowledged is pending')
  await attacked.victimReceives('writing into inboxes')
  await attacked.judge()
})

void t.test('security: reading or writing another’s topics by a will', async (t) => {
  const attacked = await AttackedServer.start(t)
  const will = (
    topic: string,
    retain = false,
  ): { will: { topic: string; payload: Buffer; qos: 1; retain: boolean } } => ({
    will: { topic, payload: Buffer.from('a forged will'), qos: 1, retain },
  })
  const topics = [
    'inbox/victim',
    'inbox/victim/1',
    'stream/victim',
    'stream/victim/ack',
    'stream/attacker/ack',
    'uplink/victim/x',
    'uplink/victim',
    '$SYS/x',
    'inbox/attacker',
  ]
  for (const topic of topics) {
    for (const retain of [false, true]) {
      const { client, code } = await attacked.knock(
        'attacker',
        attacked.token('attacker', EVERYTHING),
        will(topic, retain),
      )
      t.ok(code === 5 || code === -1, `${topic}: ${code}`)
      await client.untilClosed()
    }
  }
  t.equal((await attacked.knock('attacker', attacked.token('attacker'), will('a/b'))).code, 5, 'no grant')
  // A will that is allowed, of a device that ends without a word, reaches whom it may and nobody's mailbox.
  const listener = await attacked.attacker(EVERYTHING, 'listener')
  t.equal(await asks(listener, '#'), 1)
  const dying = await attacked.knock('dying', attacked.token('dying', EVERYTHING), will('a/b'))
  t.equal(dying.code, 0)
  await dying.client.end()
  await until('its will', () => listener.texts.includes('a forged will'))
  await attacked.victimReceives('wills')
  t.same(JSON.parse((await attacked.http('/v1/uplink')).text), { uplink: [], next: null })
  attacked.sawNothing(listener, 'wills')
  await attacked.judge()
})

void t.test('security: reading or writing another’s inbox by a retained message', async (t) => {
  const attacked = await AttackedServer.start(t)
  for (const topic of ['inbox/victim', 'inbox/victim/1', 'stream/victim', 'uplink/victim/x', '$SYS/x']) {
    await isClosedFor(t, attacked, publish(topic, 'forged', { retain: true }), topic)
  }
  await attacked.victimReceives('retained messages')
  // What was pushed is kept for the victim, not retained for whoever subscribes later.
  await attacked.pushTo('sleeper', 'for the victim: unread')
  const granted = await attacked.attacker(EVERYTHING)
  granted.send(publish('ordinary/topic', 'retained for all', { retain: true }))
  await granted.next('puback')
  const later = await attacked.attacker(EVERYTHING, 'later')
  for (const filter of ['#', '+/+', '+/sleeper', '+/+/+']) t.equal(await asks(later, filter), 1)
  await until('what is retained', () => later.texts.includes('retained for all'))
  attacked.sawNothing(later, 'nothing of an inbox is retained')
  // A new session of the victim's gets nothing that was forged.
  const again = await attacked.knock('sleeper', attacked.token('sleeper'))
  await again.client.subscribe('inbox/sleeper')
  await until('the own message', () => again.client.texts.length > 0)
  t.same(again.client.texts, ['for the victim: unread'])
  await attacked.judge()
})

void t.test('security: publishing into another’s uplink', async (t) => {
  const attacked = await AttackedServer.start(t)
  const topics = [
    'uplink/victim/x',
    'uplink/victim',
    'uplink/victim/',
    'uplink//x',
    'uplink/attacker/../victim/x',
    'uplink',
    'uplink/VICTIM/x',
    'uplink/OWN',
  ]
  for (const topic of topics) {
    if (topic.startsWith('uplink/attacker/')) continue
    for (const qos of [0, 1, 2] as const) await isClosedFor(t, attacked, publish(topic, 'forged', { qos }), topic)
  }
  const own = await attacked.attacker()
  own.send(publish('uplink/attacker/../victim/x', 'a channel with dots is a name'))
  await own.next('puback')
  const { text } = await attacked.http('/v1/uplink')
  const { uplink } = Object(JSON.parse(text))
  t.match(uplink, [{ device: 'attacker', channel: '../victim/x', payload: 'a channel with dots is a name' }])
  t.equal(uplink.length, 1, 'and nothing in the name of another')
  await attacked.victimReceives('uplinks')
  await attacked.judge()
})

void t.test('security: an open session does not outlive what it was granted', async (t) => {
  const attacked = await AttackedServer.start(t)
  const first = await attacked.knock('attacker', attacked.token('attacker', EVERYTHING), { clean: false })
  t.equal(first.code, 0)
  t.equal(await asks(first.client, '#'), 1)
  await first.client.end()
  const second = await attacked.knock('attacker', attacked.token('attacker'), { clean: false })
  t.equal(second.code, 0)
  const other = await attacked.attacker(EVERYTHING, 'other')
  other.send(publish('a/b', 'for those who may'))
  await other.next('puback')
  await attacked.victimReceives('a session with an old grant')
  t.notOk(second.client.texts.includes('for those who may'), 'the new token grants nothing')
  await attacked.judge()
})
