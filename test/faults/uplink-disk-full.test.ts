// The disk of a serving server fills up with uplink: it takes no more, keeps what it acknowledged, and goes on when there is room.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { metric } from '../support/road/observe.js'
import { UplinkDevice } from '../support/road/uplink-device.js'
import { UplinkReader } from '../support/road/uplink-reader.js'
import { until } from '../support/road/wait.js'
import { TestServer } from '../support/server.js'

const folder = mkdtempSync(join(tmpdir(), 'postrider-small-'))
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]).status === 0
t.teardown(() => {
  if (mounted) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true, force: true })
})

const FLAGS = [
  '--publish-rate-per-device',
  '--packet-rate-per-device',
  '--byte-rate-per-device',
  '--connect-rate-per-device',
]

async function fills(t: Test): Promise<void> {
  const flags = [...FLAGS.flatMap((flag) => [flag, 'off']), '--uplink-retention', '15s']
  const server = await TestServer.start(t, { folder, flags })
  const device = new UplinkDevice({
    device: 'd',
    token: await server.token('d'),
    port: () => server.ports.mqtt,
    window: 32,
    payloadBytes: 1_000,
  }).start()
  await until(
    'uplink to be refused',
    async () => (await metric(server, 'mqtt_closes_total', 'uplink_refused')) >= 5,
    60_000,
  )
  const full = device.acked.length
  t.ok(full > 2_000, `${full} acknowledged before`)
  t.ok((await metric(server, 'uplink_refused_total', 'store_unavailable')) > 0, 'by reason')
  t.equal((await fetch(`${server.adminUrl}/livez`)).status, 200, 'the server lives')
  const reader = await new UplinkReader(server).readOn()
  const stored = new Set(reader.numbers('d', 'numbers'))
  t.strictSame(
    device.acked.slice(0, full).filter((number) => !stored.has(number)),
    [],
    'all that was acknowledged is there',
  )
  await until('uplink to be taken again', () => device.acked.length > full + 200, 60_000)
  await device.finish()
  await reader.readOn()
  const numbers = reader.numbers('d', 'numbers')
  t.strictSame(
    [...new Set(numbers)],
    Array.from({ length: device.sent }, (_, i) => i + 1),
    'in order, none missing',
  )
  t.equal(device.outOfOrder, 0)
  t.same(await server.stop(), { code: 0, signal: null })
}

void t.test(
  'uplink disk full: no PUBACK for what is not stored; what was acknowledged is there; then it goes on',
  { skip: mounted ? false : 'needs a small file system: run as root, so that a tmpfs of 16 MiB can be mounted' },
  fills,
)
