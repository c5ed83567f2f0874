// A device of the SDK with file storage that is to be killed: `program <KillOrder as JSON>`. Each run of the handler is a line
// `seq attempt` in a file, written before the handler does anything else. At a place that the order names it kills itself.

import { openSync, writeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Message } from '../../../sdk/device/message.js'
import type { Storage } from '../../../sdk/device/storage/storage.js'
import { fileStorage } from '../../../sdk/file-storage.js'
import { connect } from '../../../sdk/node.js'
import { isKillOrder, type KillPlace } from './kill-order.js'

const order: unknown = JSON.parse(process.argv[2] ?? '')
if (!isKillOrder(order)) throw new Error('no order')
const { url, device, token, folder, runs, fsync, kill } = order

let times = 0
function at(place: KillPlace): void {
  if (kill?.place === place && ++times === kill.count) process.kill(process.pid, 'SIGKILL')
}

const inner = fileStorage({ folder, fsync })
const storage: Storage = {
  async load() {
    const values = await inner.load()
    at('loaded')
    return values
  },
  async write(changes) {
    at('before-write')
    const written = inner.write(changes)
    at('in-write')
    await written
    at('after-write')
  },
  close: () => inner.close(),
}

const file = openSync(runs, 'a')
const client = connect({
  urls: url,
  deviceId: device,
  token,
  storage,
  backoff: { firstMs: 50, maxMs: 200, stableMs: 60_000 },
  handler: async ({ seq, attempt }: Message) => {
    writeSync(file, `${seq} ${attempt}\n`)
    at('started')
    // Handlers that take no time, a turn, and some time.
    if (seq % 3 === 1) await Promise.resolve()
    else if (seq % 10 === 5) await pause(2)
    at('ended')
  },
})
void client.closed.then((error) => {
  console.error(error)
  process.exitCode = error === null ? 0 : 1
})
