import type { Test } from 'tap'
import type { Mailbox } from '../../../core/ports/mailbox.js'
import { type EventStoreFactory, needs, openStore } from '../factory.js'
import { ack, fill, own, push } from '../messages.js'
import { readEvents, told } from './words.js'
import { until } from '../../support/road/wait.js'

/** Short, for the tests of it. */
const LEASE_MS = 2_000

/** `device.offline_with_pending`: once for each time that a device is away. */
export function offlineConformance(t: Test, factory: EventStoreFactory): void {
  const { claimsKept, claimsEnded } = factory.supports
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

  t.test('offline: a process that dies takes its connections with it', needs(claimsEnded), async (t) => {
    const store = await openStore(t, factory, { claimLeaseMs: LEASE_MS })
    const dying = (await store.another?.()) ?? { mailbox: store.mailbox, kill: () => store.reopen() }
    for (const device of ['a', 'b', 'c']) await own(dying.mailbox, device)
    await fill(dying.mailbox, 'a', 2)
    await push(dying.mailbox, 'c').then((last) => ack(dying.mailbox, 'c', last))
    t.strictSame(await readEvents(store.events), [])
    await dying.kill()
    await told(t, store.events, ['offline a 1+1'])
    await untilNobody(store.mailbox, ['a', 'b', 'c'])
    for (const device of ['a', 'b', 'c']) await push(store.mailbox, device)
    await told(t, store.events, ['offline a 1+1', 'offline b 1', 'offline c 2'])
  })

  // Where they end with their process, there is nobody to find out.
  if (claimsKept === true) claimsOfDeadProcesses(t, factory)
}

function claimsOfDeadProcesses(t: Test, factory: EventStoreFactory): void {
  const { claimsEnded } = factory.supports
  t.test('offline: of a dead process, only what nobody took over', needs(claimsEnded), async (t) => {
    const store = await openStore(t, factory, { claimLeaseMs: LEASE_MS })
    const dying = await store.another?.()
    if (dying === undefined) throw new Error('a store that keeps claims can be opened again')
    for (const device of ['stays', 'moves', 'purged']) {
      await own(dying.mailbox, device)
      await fill(dying.mailbox, device, 2)
    }
    await dying.kill()
    const survivor = { node: 'node-2', claimId: 'claim-2' }
    await store.mailbox.claim('moves', survivor, { force: true })
    await store.mailbox.purge('purged')
    // Nobody knows yet: it is told when the claim has ended, and then with this one.
    await push(store.mailbox, 'stays')
    await told(t, store.events, ['offline stays 1+2'])
    await untilNobody(store.mailbox, ['stays'])
    t.match(await store.mailbox.info('moves'), { claim: survivor })
    t.equal(await store.mailbox.info('purged'), null)

    const old = { device: 'stays', claimId: 'claim-1', position: { epoch: '', seq: 0 }, maxMessages: 9, maxBytes: 999 }
    t.match(await store.mailbox.read(old), { kind: 'not_owner', claim: null }, 'the old claim gets nothing any more')
    t.equal(await store.mailbox.release('stays', 'claim-1'), false)
    t.match(await store.mailbox.claim('stays', survivor, { force: false }), { ok: true, pending: 3 })
    await store.mailbox.release('moves', 'claim-2')
    await told(t, store.events, ['offline stays 1+2', 'offline moves 1+1'])
  })

  t.test('offline: a process that lives keeps its connections', needs(claimsEnded), async (t) => {
    const store = await openStore(t, factory, { claimLeaseMs: LEASE_MS })
    const dying = await store.another?.()
    if (dying === undefined) throw new Error('a store that keeps claims can be opened again')
    await own(store.mailbox, 'here')
    await push(store.mailbox, 'here')
    await dying.mailbox.claim('there', { node: 'node-2', claimId: 'claim-2' }, { force: true })
    await push(store.mailbox, 'there')
    await dying.kill()
    await told(t, store.events, ['offline there 1'])
    t.match(await store.mailbox.info('here'), { claim: { node: 'node-1' } })
  })
}

async function untilNobody(mailbox: Mailbox, devices: readonly string[]): Promise<void> {
  await until(`nobody to be connected as ${devices.join(', ')}`, async () => {
    const infos = await Promise.all(devices.map((device) => mailbox.info(device)))
    return infos.every((info) => info?.claim === null && info.connectedAt === null)
  })
}
