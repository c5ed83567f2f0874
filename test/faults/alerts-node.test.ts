// The alerts of a node by itself, each under the fault that it is for, with a real Prometheus.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Authority } from '../support/certificates.js'
import { FACTOR, NODE_FAULTS, startAlarm, untilFired } from '../support/prometheus/alarm.js'
import { noPrometheus } from '../support/prometheus/tools.js'
import { producerFor, roadDevice } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { metric } from '../support/road/observe.js'
import { until } from '../support/road/wait.js'
import { TestServer, type ServerOptions } from '../support/server.js'
import { TlsFolder } from '../support/tls.js'
import { makeWebhook, WEBHOOK_FLAGS } from '../support/webhooks/scenario.js'

t.setTimeout(900_000)

/** At the same time: nearly all of it is waiting, the first two for over a minute. */
const AT_ONCE = 3

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `device-${i}`)

interface Fault {
  readonly alert: (typeof NODE_FAULTS)[number]
  readonly what: string
  readonly skip?: string | false
  /** It takes the machine's processors. */
  readonly busy?: true
  readonly options?: (t: Test) => ServerOptions | Promise<ServerOptions>
  /** Brings the fault about; what it returns is done again and again until the alert fires. */
  readonly begin: (t: Test, server: TestServer) => Promise<() => void | Promise<void>>
}

const nothing = (): void => undefined
const DAY = 86_400_000

const small = mkdtempSync(join(tmpdir(), 'postrider-small-'))
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', small]).status === 0
t.teardown(() => {
  if (mounted) spawnSync('umount', [small])
  rmSync(small, { recursive: true, force: true })
})

const FAULTS: readonly Fault[] = [
  {
    alert: 'PostriderWebhookEventsLate',
    what: 'a backend that takes no events',
    options: () => ({ flags: [...WEBHOOK_FLAGS] }),
    async begin(t, server) {
      const receiver = await makeWebhook(t, server)
      await receiver.down()
      await server.rest('POST', '/v1/devices/away/messages', { payload: 'x' })
      return nothing
    },
  },
  {
    alert: 'PostriderDevicesStuck',
    what: 'devices that take messages and do not acknowledge',
    async begin(t, server) {
      const ledger = new RoadLedger()
      const devices = await Promise.all(
        names(8).map(async (name) => {
          const device = await roadDevice(t, server, ledger, name, { ackDelayMs: null })
          return device.start().untilReady()
        }),
      )
      await (await producerFor(t, server, ledger, { devices: names(8) })).push(1)
      let sent = performance.now()
      // A device that says nothing for a minute is closed; these are alive.
      return () => {
        if (performance.now() - sent < 10_000) return
        sent = performance.now()
        for (const device of devices) device.send({ cmd: 'pingreq' })
      }
    },
  },
  {
    alert: 'PostriderMessagesUndelivered',
    what: 'an inbox that drops what is oldest',
    options: () => ({ flags: ['--inbox-max', '5', '--overflow', 'drop-oldest'] }),
    async begin(_t, server) {
      return async () => {
        const messages = names(20).map(() => ({ device: 'away', payload: 'x' }))
        await server.rest('POST', '/v1/messages', { messages })
      }
    },
  },
  {
    alert: 'PostriderUplinkFull',
    what: 'an uplink that nobody reads',
    options: () => ({ flags: ['--uplink-max', '1MiB', '--uplink-max-per-device', '1MiB', '--uplink-retention', '1h'] }),
    async begin(t, server) {
      const ledger = new RoadLedger()
      const devices = await Promise.all(
        names(4).map(async (name) => (await roadDevice(t, server, ledger, name)).start().untilReady()),
      )
      let packet = 1
      return () => {
        for (const device of devices) {
          if (!device.ready) continue
          const topic = `uplink/${device.device}/bulk`
          packet = (packet % 1_000) + 1
          device.send({
            cmd: 'publish',
            topic,
            payload: Buffer.alloc(60_000, 'x'),
            qos: 1,
            messageId: packet,
            dup: false,
            retain: false,
          })
        }
      }
    },
  },
  {
    alert: 'PostriderWebhookEventsDropped',
    what: 'a backend that was away for longer than events are kept',
    options: () => ({
      flags: [...WEBHOOK_FLAGS, '--events-max', '1000', '--inbox-max', '5', '--overflow', 'drop-oldest'],
    }),
    async begin(t, server) {
      const receiver = await makeWebhook(t, server)
      await receiver.down()
      const messages = names(500).map(() => ({ device: 'away', payload: 'x' }))
      return async () => {
        await server.rest('POST', '/v1/messages', { messages })
        if ((await metric(server, 'events_dropped_total')) > 2_000) await receiver.up().catch(nothing)
      }
    },
  },
  {
    alert: 'PostriderConnectionHeadroom',
    what: 'almost as many devices as a node may have',
    options: () => ({ flags: ['--connections-max', '100'] }),
    async begin(t, server) {
      const ledger = new RoadLedger()
      await Promise.all(
        names(90).map(async (name) => (await roadDevice(t, server, ledger, name, { returns: false })).start()),
      )
      return nothing
    },
  },
  {
    alert: 'PostriderCertificateExpires',
    what: 'a certificate of three more days',
    async options(t) {
      const authority = new Authority()
      const pair = authority.issue({ hosts: ['localhost'], usage: 'server', notAfter: Date.now() + 3 * DAY })
      const folder = await TlsFolder.make(t, { 'tls.crt': pair.cert, 'tls.key': pair.key })
      const ports = ['--mqtts-port', '--wss-port', '--https-port'].flatMap((flag) => [flag, '0'])
      return { flags: ['--tls-cert', folder.file('tls.crt'), '--tls-key', folder.file('tls.key'), ...ports] }
    },
    begin: () => Promise.resolve(nothing),
  },
  {
    alert: 'PostriderDiskAlmostFull',
    what: 'a disk with little room',
    skip: mounted ? false : 'needs a small file system: run as root, so that a tmpfs of 128 MiB can be mounted',
    options: () => ({ folder: small }),
    begin: () => Promise.resolve(nothing),
  },
  {
    alert: 'PostriderEventLoopBusy',
    what: 'more pushes than a node can take',
    busy: true,
    options: () => ({ flags: ['--inbox-max', '10', '--overflow', 'drop-oldest', '--durability', 'process'] }),
    async begin(t, server) {
      // Written ahead on a few connections, the answers not looked at: whatever else the machine does, the node has work. Small
      // requests, so that it finds the time to be scraped.
      const body = JSON.stringify({ messages: names(300).map((device) => ({ device, payload: 'x'.repeat(64) })) })
      const head = ['POST /v1/messages HTTP/1.1', 'host: a', `authorization: Bearer ${await server.apiKey()}`]
      const lines = [...head, 'content-type: application/json', `content-length: ${body.length}`]
      const request = Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`)
      let over = false
      t.teardown(() => (over = true))
      const lane = (): void => {
        const socket = connect(server.ports.http, '127.0.0.1', () => fill())
        t.teardown(() => socket.destroy())
        const fill = (): void => {
          for (let n = 0; n < 16; n++) if (!socket.write(request)) return
          if (!socket.destroyed) setImmediate(fill)
        }
        // A node lets go of who does not come to an end.
        socket
          .on('drain', fill)
          .on('error', nothing)
          .on('close', () => over || lane())
          .resume()
      }
      for (let i = 0; i < 4; i++) lane()
      return nothing
    },
  },
]

t.jobs = AT_ONCE
for (const { alert, what, skip, busy = false, options, begin } of FAULTS) {
  const how = { skip: noPrometheus || (skip ?? false), buffered: !busy }
  t.test(`alerts: ${what}: ${alert}`, how, async (t) => {
    const server = await TestServer.start(t, await options?.(t))
    const prometheus = await startAlarm(t, FACTOR, 1_000)
    prometheus.scrape([server.adminUrl])
    const scraped = async (): Promise<boolean> => (await prometheus.query('postrider_build_info')).length > 0
    await until('the node to be scraped', scraped, 60_000)
    await untilFired(t, prometheus, [alert], await begin(t, server))
  })
}

t.test('alerts: every fault of a node is brought about', async (t) => {
  t.same(FAULTS.map(({ alert }) => alert).toSorted(), [...NODE_FAULTS].toSorted())
})
