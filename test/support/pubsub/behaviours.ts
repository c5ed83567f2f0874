// What the interoperability suites for MQTT 3.1.1 look at, done with a client library of somebody else.

import type { Test } from 'tap'
import { until } from '../road/wait.js'
import type { Driver, DriverClient } from './driver.js'

/** Waits for so many messages; as `topic payload qos`, `R` for retained, `D` for dup. */
async function received(client: DriverClient, count: number): Promise<string[]> {
  await until(`${count} messages`, () => client.messages.length >= count)
  return client.messages.map(
    ({ topic, payload, qos, retain, dup }) => `${topic} ${payload} ${qos}${retain ? ' R' : ''}${dup ? ' D' : ''}`,
  )
}

/** Has received `count` messages, and whatever else there may be for it. */
async function nothingElse(t: Test, client: DriverClient, publisher: DriverClient, count: number): Promise<void> {
  const codes = await client.subscribe(['marker', 1])
  t.same(codes, [1])
  await publisher.publish('marker', 'marker', 1)
  await received(client, count + 1)
  t.equal(client.messages.at(-1)?.payload, 'marker')
}

type Behaviour = (t: Test, driver: Driver) => Promise<void>

export const BEHAVIOURS: Readonly<Record<string, Behaviour>> = {
  async 'a client receives what it publishes, with each QoS'(t, driver) {
    const client = await driver.connect('basic')
    t.equal(client.sessionPresent, false)
    t.same(await client.subscribe(['basic/a', 2]), [2])
    for (const qos of [0, 1, 2] as const) await client.publish('basic/a', `${qos}`, qos)
    t.same((await received(client, 3)).toSorted(), ['basic/a 0 0', 'basic/a 1 1', 'basic/a 2 2'])
    await client.disconnect()
  },

  async 'retained messages come with a subscription, and are cleared [MQTT-3.3.1-6], [MQTT-3.3.1-10]'(t, driver) {
    const publisher = await driver.connect('retain-1')
    for (const qos of [0, 1, 2] as const) await publisher.publish(`retain/${qos}`, 'x', qos, true)
    const first = await driver.connect('retain-2')
    await first.subscribe(['retain/+', 2])
    t.same((await received(first, 3)).toSorted(), ['retain/0 x 0 R', 'retain/1 x 1 R', 'retain/2 x 2 R'])
    for (const qos of [0, 1, 2] as const) await publisher.publish(`retain/${qos}`, '', qos, true)
    const second = await driver.connect('retain-3')
    await second.subscribe(['retain/+', 2])
    await nothingElse(t, second, publisher, 0)
  },

  async 'a will is published for a connection that breaks, and for none that ends in order [MQTT-3.1.2-8]'(t, driver) {
    const spy = await driver.connect('will-spy')
    await spy.subscribe(['will/#', 2])
    const will = { topic: 'will/gone', payload: 'gone', qos: 1, retain: false } as const
    const polite = await driver.connect('will-1', { will })
    await polite.disconnect()
    const broken = await driver.connect('will-2', { will: { ...will, topic: 'will/broken' } })
    await broken.drop()
    t.same(await received(spy, 1), ['will/broken gone 1'])
    await nothingElse(t, spy, spy, 1)
  },

  async 'messages wait for a session that is away [MQTT-3.1.2-5]'(t, driver) {
    const first = await driver.connect('away', { clean: false })
    await first.subscribe(['away/+', 2], ['away/2', 1])
    await first.disconnect()
    const publisher = await driver.connect('away-publisher')
    for (const qos of [0, 1, 2] as const) await publisher.publish('away/1', `${qos}`, qos)
    for (let i = 0; i < 50; i++) await publisher.publish('away/2', `${i}`, 1)
    const second = await driver.connect('away', { clean: false })
    t.equal(second.sessionPresent, true)
    const outline = await received(second, 52)
    // Libraries hand over a QoS 2 message when its handshake is over, so each QoS is looked at for itself.
    t.same(
      outline.filter((message) => message.endsWith('1')),
      ['away/1 1 1', ...Array.from({ length: 50 }, (_, i) => `away/2 ${i} 1`)],
    )
    t.same(
      outline.filter((message) => !message.endsWith('1')),
      ['away/1 2 2'],
    )
    await second.disconnect()
    const third = await driver.connect('away')
    t.equal(third.sessionPresent, false, 'clean session 1 ends it [MQTT-3.1.2-6]')
    await nothingElse(t, third, publisher, 0)
  },

  async 'overlapping subscriptions: one copy with the highest QoS [MQTT-3.3.5-1]'(t, driver) {
    const client = await driver.connect('overlap')
    t.same(await client.subscribe(['overlap/#', 2], ['overlap/+', 1]), [2, 1])
    await client.publish('overlap/a', 'x', 2)
    t.same(await received(client, 1), ['overlap/a x 2'])
    await nothingElse(t, client, client, 1)
  },

  async 'what was not acknowledged comes again with DUP [MQTT-4.4.0-1]'(t, driver) {
    const first = await driver.connect('again', { clean: false, acks: false })
    await first.subscribe(['again/#', 2])
    const publisher = await driver.connect('again-publisher')
    for (const qos of [1, 2] as const) await publisher.publish('again/a', `${qos}`, qos)
    await first.drop()
    const second = await driver.connect('again', { clean: false })
    // A QoS 2 message belongs to whichever connection its handshake got far enough on; the other one sees nothing of it.
    const all = (): string[] => [...first.messages, ...second.messages].map(({ payload, qos }) => `${payload} ${qos}`)
    await until('both', () => all().includes('2 2') && second.messages.some(({ qos }) => qos === 1))
    await nothingElse(t, second, publisher, second.messages.length)
    t.equal(all().filter((message) => message === '2 2').length, 1)
    t.match(
      second.messages.filter(({ qos, topic }) => qos === 1 && topic === 'again/a'),
      [{ payload: '1', dup: true }],
    )
    await second.disconnect()
  },

  async 'UNSUBSCRIBE ends a subscription and leaves the others [MQTT-3.10.4-2]'(t, driver) {
    const client = await driver.connect('unsubscribe')
    await client.subscribe(['unsub/a', 2], ['unsub/b', 2], ['unsub/c', 2])
    await client.unsubscribe('unsub/a')
    for (const topic of ['unsub/a', 'unsub/b', 'unsub/c']) await client.publish(topic, 'x', 1)
    t.same(await received(client, 2), ['unsub/b x 1', 'unsub/c x 1'])
    await nothingElse(t, client, client, 2)
  },

  async 'a subscription that is not allowed is answered 0x80 [MQTT-3.9.3-2]'(t, driver) {
    const client = await driver.connect('failure')
    t.same(await client.subscribe(['inbox/another', 1], ['failure', 2]), [0x80, 2])
  },

  async 'an empty client id is taken with clean session alone [MQTT-3.1.3-8]'(_t, driver) {
    const client = await driver.connect('')
    await client.publish('empty', 'x', 1)
    await client.disconnect()
  },

  async 'a client that is alive stays connected, also when it says nothing but PINGREQ [MQTT-3.1.2-23]'(t, driver) {
    const client = await driver.connect('alive', { keepalive: 1 })
    await client.subscribe(['alive', 1])
    // Keep-alive is what is tested: longer than one and a half of it.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    t.equal(client.closed, false)
    await client.publish('alive', 'x', 1)
    await received(client, 1)
  },
}
