// Devices of both kinds in one process: `program <FleetOrder as JSON>`, with a channel to its parent. Plain ones on a socket of their
// own; SDK ones whose storage outlives the process. Ten times a second it tells all that they saw.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { systemClock } from '../../../core/clock.js'
import { createDeviceTokens } from '../../../core/security/device-tokens.js'
import { parseTokenSecrets } from '../../../core/security/token-secrets.js'
import type { Client } from '../../../sdk/device/client.js'
import { fileStorage } from '../../../sdk/file-storage.js'
import { connect } from '../../../sdk/node.js'
import { RoadDevice, type DeviceWatch } from '../road/device.js'
import { readMark } from '../road/payload.js'
import { isFleetCommand, isFleetOrder, type FleetNews, type FleetOrder } from './fleet-order.js'
import type { FleetEvent } from './history.js'
import { machineNow } from './machine-time.js'

const NEWS_MS = 100
/** A connection that says nothing for so long is given up. */
const LIVENESS_MS = 6_000
/** So many begin at once, and more only when most of them are there: the crowd is gathered, which is not what is measured. */
const STEP = 50

/** States of a client that is connected. */
const LIVE: ReadonlySet<string> = new Set(['live', 'catching-up'])

let events: FleetEvent[] = []
let connections = 0
const tell = (event: FleetEvent): void => {
  events.push(event)
}

/** What plain devices see. */
const watch: DeviceWatch = {
  connected(device, localPort) {
    const connection = ++connections
    tell({ is: 'connected', device, connection, localPort, at: machineNow() })
    return {
      arrived: (number, seq, dup, sentAt = 0) =>
        tell({ is: 'arrived', device, connection, number, seq: seq ?? 0, dup, sentAt, at: machineNow() }),
      acked: (number) => tell({ is: 'acked', device, connection, number, at: machineNow() }),
      ended: () => tell({ is: 'ended', device, connection, at: machineNow() }),
    }
  },
}

function plainDevice(device: string, index: number, token: string, port: number, retryMs = 300): RoadDevice {
  return new RoadDevice({
    device,
    token,
    port: () => port,
    ledger: watch,
    clean: index % 2 === 0,
    ackDelayMs: index % 4 === 0 ? 30 : 0,
    livenessMs: LIVENESS_MS,
    retryMs,
  })
}

const QUICK = {
  backoff: { firstMs: 500, maxMs: 3_000, stableMs: 1_000 },
  connectTimeoutMs: 2 * LIVENESS_MS,
  keepAliveSeconds: 5,
  pingTimeoutMs: 4_000,
  ackTimeoutMs: LIVENESS_MS,
}

/** `d-5` begins with the sixth URL, or as many around as there are. */
function turned(urls: readonly string[], device: string): readonly string[] {
  const first = Number(device.slice(device.lastIndexOf('-') + 1)) % urls.length
  return [...urls.slice(first), ...urls.slice(0, first)]
}

function sdkDevice(device: string, index: number, token: string, { urls, folder, patient }: FleetOrder): Client {
  const client = connect({
    urls: turned(urls, device),
    deviceId: device,
    token,
    ...(folder === null ? {} : { storage: fileStorage({ folder: join(folder, device), fsync: false }) }),
    ...(patient ? {} : QUICK),
    handler: async (message) => {
      const { epoch, seq } = message
      const { number, at: sentAt } = readMark(message.text())
      tell({ is: 'handled', device, number, epoch, seq, sentAt, at: machineNow() })
      if (index % 4 === 0) await pause(20)
    },
  })
  const trouble = (what: string): void => tell({ is: 'trouble', device, what, at: machineNow() })
  client.on('state', ({ state }) => {
    if (state === 'catching-up') tell({ is: 'welcomed', device, at: machineNow() })
  })
  client.on('reset', () => tell({ is: 'reset', device, at: machineNow() }))
  client.on('duplicate', ({ message: { seq } }) => tell({ is: 'suppressed', device, seq, at: machineNow() }))
  client.on('gap', ({ from, to, reason }) => trouble(`a gap from ${from} to ${to}: ${reason}`))
  void client.closed.then((error) => trouble(`the client has ended: ${String(error)}`))
  return client
}

async function main(): Promise<void> {
  const order: unknown = JSON.parse(process.argv[2] ?? '')
  if (!isFleetOrder(order)) throw new Error('no order')
  const tokens = createDeviceTokens({
    secrets: parseTokenSecrets(order.tokenSecret, 'the secret'),
    maxTtlSeconds: 86_400,
    clock: systemClock,
  })
  const tokenOf = async (device: string): Promise<string> => (await tokens.sign(device, 36_000)).token
  const plain = await Promise.all(
    order.plain.map(async (device, i) => plainDevice(device, i, await tokenOf(device), order.port)),
  )
  const clients: Client[] = []
  const doubles: RoadDevice[] = []
  process.on('message', (command) => {
    if (!isFleetCommand(command)) return
    for (const double of doubles.splice(0)) void double.stop(true)
    if (command.do === 'single') return
    void Promise.all(
      order.plain.slice(0, command.count).map(async (device, i) => {
        doubles.push(plainDevice(device, i, await tokenOf(device), order.port, 1_000).start())
      }),
    )
  })
  process.on('disconnect', () => process.exit(0))
  const all = plain.length + order.sdk.length
  const missingNow = (): string[] => [
    ...plain.filter(({ ready }) => !ready).map(({ device }) => device),
    ...order.sdk.filter((_device, i) => !LIVE.has(clients[i]?.state ?? '')),
  ]
  setInterval(() => {
    const missing = missingNow()
    const news: FleetNews = { events, ready: all - missing.length, missing: missing.slice(0, 5) }
    events = []
    process.send?.(news)
  }, NEWS_MS)
  for (let from = 0; from < Math.max(plain.length, order.sdk.length); from += STEP) {
    for (const device of plain.slice(from, from + STEP)) device.start()
    for (const [i, device] of order.sdk.slice(from, from + STEP).entries())
      clients.push(sdkDevice(device, from + i, await tokenOf(device), order))
    await pause(20)
    const begun = clients.length + Math.min(plain.length, from + STEP)
    while (begun - (all - missingNow().length) > 3 * STEP) await pause(50)
  }
}

void main()
