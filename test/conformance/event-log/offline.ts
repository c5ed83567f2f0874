import type { Test } from 'tap'
import { type EventStoreFactory, openStore } from '../factory.js'
import { ack, own, push } from '../messages.js'
import { readEvents, told } from './words.js'

/** `device.offline_with_pending`: once for each time that a device is away. */
export function offlineConformance(t: Test, factory: EventStoreFactory): void {
  t.test('offline: a message that finds nobody is told, the next ones are not', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    const { epoch } = await push(mailbox, 'a')
    await push(mailbox, 'a')
    const [event] = await told(t, events, ['offline a 1'])
    await push(mailbox, 'b')
    await told(t, events, ['offline a 1', 'offline b 1'])
    t.match(event, { type: 'device.offline_with_pending', device: 'a', epoch, seq: 1, count: 1 })
  })

  t.test('offline: a device that is there is not told', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    await push(mailbox, 'a')
    t.strictSame(await readEvents(events), [])
  })

  t.test('offline: a device that leaves messages behind is told, one without is not', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await own(mailbox, 'a')
    await own(mailbox, 'b')
    const { epoch } = await push(mailbox, 'a')
    await push(mailbox, 'a')
    await push(mailbox, 'a')
    await ack(mailbox, 'a', { epoch, seq: 1 })
    await mailbox.release('b', 'claim-1')
    await mailbox.release('a', 'another claim')
    t.strictSame(await readEvents(events), [])
    await mailbox.release('a', 'claim-1')
    await told(t, events, ['offline a 2+1'])
    await push(mailbox, 'a')
    await told(t, events, ['offline a 2+1'])
  })

  t.test('offline: it is told again after each connection', async (t) => {
    const { mailbox, events } = await openStore(t, factory)
    await push(mailbox, 'a')
    await own(mailbox, 'a', 'claim-1')
    await own(mailbox, 'a', 'claim-2')
    t.equal((await told(t, events, ['offline a 1'])).length, 1)
    await mailbox.release('a', 'claim-2')
    await own(mailbox, 'a', 'claim-3')
    await mailbox.release('a', 'claim-3')
    await push(mailbox, 'a')
    await told(t, events, ['offline a 1', 'offline a 1', 'offline a 1'])
  })

  t.test('offline: a start in between does not tell it again', async (t) => {
    const store = await openStore(t, factory)
    await push(store.mailbox, 'a')
    await store.reopen()
    await push(store.mailbox, 'a')
    await told(t, store.events, ['offline a 1'])
  })
}
