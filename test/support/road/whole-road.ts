import type { Test } from 'tap'
import type { TestServer } from '../server.js'
import { roadDevice, statusOf } from './fleet.js'
import { RoadLedger } from './ledger.js'
import { until } from './wait.js'

/**
 * The road of one device over an empty store: push, retry, conflict, receive, acknowledge; then SIGKILL of the server, restart,
 * and all of it is as it was.
 */
export async function wholeRoad(t: Test, server: TestServer): Promise<void> {
  const push = async (payload: string, dedupId: string) =>
    server.rest('POST', '/v1/devices/phone-1/messages', { payload, dedupId })
  t.match(await push('1', 'one'), { status: 202, body: { device: 'phone-1', seq: 1 } })
  t.match(await push('1', 'one'), { status: 200, body: { seq: 1, duplicate: true } })
  t.match(await push('2', 'one'), { status: 409, body: { code: 'dedup_conflict' } })
  const device = await roadDevice(t, server, new RoadLedger(), 'phone-1', { clean: false })
  await device.start().untilReady()
  await until('the message to be handled', async () => (await statusOf(server, 'phone-1'))['cursor'] === 1)
  t.match(await statusOf(server, 'phone-1'), { online: true, head: 1, cursor: 1, pending: 0 })

  t.equal((await server.kill('SIGKILL')).signal, 'SIGKILL')
  await server.restart()
  t.match(await statusOf(server, 'phone-1'), { head: 1, cursor: 1, pending: 0 })
  t.match(await push('1', 'one'), { status: 200, body: { seq: 1, duplicate: true } })
  await until('the device to be back', () => device.ready && device.connections === 2)
  t.match(await push('2', 'two'), { status: 202, body: { seq: 2 } })
  await until('the second one to be handled', async () => (await statusOf(server, 'phone-1'))['cursor'] === 2)
}
