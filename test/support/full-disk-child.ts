// Runs in a small file system. Appends until it is refused, checks what was accepted, handles some of it, appends again, reopens
// and checks once more. Prints one JSON line.

import { setTimeout as nextTry } from 'node:timers/promises'
import { createLogger } from '../../core/log.js'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { PostriderError } from '../../core/errors.js'
import { openLmdbStore } from '../../core/stores/lmdb/open.js'
import { journalFilesIn } from './lmdb-copy.js'

interface Accepted {
  readonly device: string
  readonly seq: number
  readonly epoch: string
}

const path = process.argv[2] ?? ''
const size = Number(process.argv[3] ?? '1000')
const options = {
  path,
  durability: 'disk',
  limits: { ...DEFAULT_MAILBOX_LIMITS, inboxMax: 100_000, inboxMaxBytes: 1 << 30 },
  log: createLogger({ level: 'silent' }),
} as const

let store = await openLmdbStore(options)
const accepted: Accepted[] = []
const refusals = new Set<string>()
let journalFiles = 0

const DEVICES = Array.from({ length: 10 }, (_, i) => `d${i}`)

/** Ten messages, one to each of `devices`. */
async function append(n: number, devices = DEVICES): Promise<boolean> {
  try {
    const results = await store.mailbox.append(
      devices.map((device) => ({
        device,
        payload: Buffer.alloc(size, n),
        contentType: 'application/octet-stream',
        attributes: null,
        dedupId: `m${n}`,
        ttl: null,
        priority: 'normal',
      })),
    )
    results.forEach((result, i) => {
      if (result.ok) accepted.push({ device: devices[i] ?? '', seq: result.seq, epoch: result.epoch })
    })
    journalFiles = Math.max(journalFiles, journalFilesIn(path).length)
    return results.every((result) => result.ok)
  } catch (error) {
    refusals.add(error instanceof PostriderError ? error.code : String(error))
    return false
  }
}

async function lost(): Promise<number> {
  let count = 0
  for (const { device, seq, epoch } of accepted) {
    const state = await store.mailbox.state(device, seq, epoch)
    if (state.kind !== 'known' || state.state !== 'queued') count++
  }
  return count
}

async function until(what: () => Promise<boolean>): Promise<boolean> {
  const end = Date.now() + 120_000
  while (Date.now() < end) {
    if (await what()) return true
    await nextTry(1)
  }
  return false
}

let n = 0
let refused = 0
const filled = await until(async () => {
  if (!(await append(n++))) refused++
  return refused >= 20
})
const acceptedAtFull = accepted.length
const lostAtFull = await lost()

// Everything of half the devices is handled: acks must find room although appends do not.
const handled = accepted.filter(({ device }) => Number(device.slice(1)) < 5)
const freed = await until(async () => {
  try {
    for (const { device, seq, epoch } of handled) await store.mailbox.ack([{ device, position: { epoch, seq } }])
    return true
  } catch {
    return false
  }
})
accepted.splice(0, accepted.length, ...accepted.filter(({ device }) => Number(device.slice(1)) >= 5))
const resumed = await until(() => append(n++, ['d7']))
const lostAfter = await lost()
await store.close()
store = await openLmdbStore(options)
const lostReopened = await lost()
await store.close()
process.stdout.write(
  `${JSON.stringify({ filled, acceptedAtFull, refusals: [...refusals], lostAtFull, freed, resumed, lostAfter, lostReopened, journalFiles })}\n`,
)
