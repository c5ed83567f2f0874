import type { Test } from 'tap'
import { FakeClock } from '../../support/fake-clock.js'
import { type EventStoreFactory, needs, openStore } from '../factory.js'
import { ack, own, push } from '../messages.js'
import { told } from './words.js'

/** Short, for the tests of it. */
const LEASE_MS = 2_000

/** What expires although nobody uses the device. */
export function expiryConformance(t: Test, factory: EventStoreFactory): void {
  const { clock, looksByItself } = factory.supports

  t.test('expiry: of a device that is away is told in time, each message once', needs(looksByItself), async (t) => {
    const { mailbox, events } = await openStore(t, factory, { claimLeaseMs: LEASE_MS })
    await push(mailbox, 'a', { ttl: 600 })
    await push(mailbox, 'a', { ttl: 2 })
    await push(mailbox, 'a', { ttl: 1 })
    await told(t, events, ['offline a 1', 'expired a 3', 'expired a 2'])
    t.match(await mailbox.info('a'), { pending: 1 })
    await push(mailbox, 'a', { ttl: 1 })
    await told(t, events, ['offline a 1', 'expired a 3', 'expired a 2', 'expired a 4'])
  })

  t.test('expiry: of messages that a device left behind is told', needs(looksByItself), async (t) => {
    const { mailbox, events } = await openStore(t, factory, { claimLeaseMs: LEASE_MS })
    await own(mailbox, 'a')
    const { epoch } = await push(mailbox, 'a', { ttl: 1 })
    await push(mailbox, 'a', { ttl: 1 })
    await ack(mailbox, 'a', { epoch, seq: 1 })
    await mailbox.release('a', 'claim-1')
    await told(t, events, ['offline a 2', 'expired a 2'])
    // It was there in between, and everything was handled.
    await own(mailbox, 'a', 'claim-2')
    const third = await push(mailbox, 'a', { ttl: 1 })
    await ack(mailbox, 'a', third)
    await mailbox.release('a', 'claim-2')
    await push(mailbox, 'a', { ttl: 1 })
    await told(t, events, ['offline a 2', 'expired a 2', 'offline a 4', 'expired a 4'])
  })

  t.test('expiry: what waited longer than the retention is told', needs(looksByItself, clock), async (t) => {
    const time = new FakeClock()
    const limits = { retentionSeconds: 60 }
    const { mailbox, events } = await openStore(t, factory, { clock: time, limits, claimLeaseMs: LEASE_MS })
    await push(mailbox, 'b')
    await mailbox.purge('b')
    await told(t, events, ['offline b 1'])
    await push(mailbox, 'a')
    time.advance(61_000)
    await told(t, events, ['offline b 1', 'offline a 1', 'expired:retention a 1'])
  })
}
