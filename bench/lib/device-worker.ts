// A process of devices. Calls: open (again after close: the same devices come back), wait, read, summary, close.
import { setTimeout as delay } from 'node:timers/promises'
import { DeviceFleet } from './device-fleet.js'
import { fleetOrder, waitOrder, type WaitOrder } from './device-protocol.js'
import { signDeviceToken } from './tokens.js'
import { serveWorker, type WorkerHandler } from './worker-server.js'

const POLL_MS = 10

async function waitFor(fleet: DeviceFleet, { distinct, quietMs }: WaitOrder): Promise<number> {
  let seen = fleet.distinct
  let since = performance.now()
  while (fleet.distinct < distinct && performance.now() - since < quietMs) {
    await delay(POLL_MS)
    if (fleet.distinct !== seen) {
      seen = fleet.distinct
      since = performance.now()
    }
  }
  return fleet.distinct
}

function deviceWorker(): ReadonlyMap<string, WorkerHandler> {
  let opened: DeviceFleet | null = null
  const fleet = (): DeviceFleet => {
    if (opened === null) throw new Error('not opened')
    return opened
  }
  const open: WorkerHandler = (argument) => {
    const { tokenSecret, ...options } = fleetOrder(argument, 'open')
    const now = Math.floor(Date.now() / 1000)
    const password = tokenSecret === null ? null : (id: string): string => signDeviceToken(tokenSecret, id, now)
    opened ??= new DeviceFleet({ ...options, password })
    return opened.open()
  }
  return new Map<string, WorkerHandler>([
    ['open', open],
    ['wait', (argument) => waitFor(fleet(), waitOrder(argument, 'wait'))],
    ['read', () => fleet().read()],
    ['summary', () => fleet().summary()],
    ['close', () => fleet().close()],
  ])
}

serveWorker(deviceWorker())
