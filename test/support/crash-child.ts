// Child of the crash suite: appends, acknowledges and cancels as fast as the store answers, and says every answer on stdout (a
// file) before it goes on. Ends by SIGKILL alone.
//
//   node --import=tsx crash-child.ts <opener module> <place> <round>

import { writeSync } from 'node:fs'
import { DEVICES, type Line, messageOf, type OpenForCrash } from '../conformance/crash/protocol.js'

const [, , opener = '', place = '', round = ''] = process.argv

function say(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

function isOpener(value: unknown): value is { readonly openForCrash: OpenForCrash } {
  return (
    typeof value === 'object' && value !== null && 'openForCrash' in value && typeof value.openForCrash === 'function'
  )
}

const module: unknown = await import(opener)
if (!isOpener(module)) throw new TypeError(`${opener} exports no openForCrash`)
say({ kind: 'opening' })
const { mailbox } = await module.openForCrash(place)
say({ kind: 'open', generation: mailbox.generation })

/** Answered appends that are not acknowledged yet, per device. */
const answered = new Map<string, Array<{ readonly seq: number; readonly epoch: string }>>()

async function append(device: string, worker: number): Promise<void> {
  for (let n = 0; ;) {
    const ids = Array.from({ length: 1 + (n % 4) }, () => `${round}-${worker}-${n++}`)
    say({ kind: 'asked', device, ids })
    const results = await mailbox.append(ids.map((id) => messageOf(device, id)))
    for (const [i, result] of results.entries()) {
      if (!result.ok || result.duplicate) return say({ kind: 'broken', text: JSON.stringify({ device, ids, results }) })
      say({ kind: 'appended', device, id: ids[i] ?? '', seq: result.seq, epoch: result.epoch })
      answered.get(device)?.push(result)
    }
  }
}

/** Acknowledges about what is there, always leaving something pending; cancels one of what it leaves now and then. */
async function handle(device: string): Promise<void> {
  const mine = answered.get(device) ?? []
  for (let n = 0; ; n++) {
    await new Promise((resolve) => setImmediate(resolve))
    mine.sort((x, y) => x.seq - y.seq)
    const count = Math.floor(mine.length * 0.7)
    const last = mine[count - 1]
    if (last === undefined) continue
    mine.splice(0, count)
    const next = mine[1]
    if (n % 5 === 0 && next !== undefined) {
      const { kind } = await mailbox.cancel(device, next.seq, next.epoch)
      if (kind === 'cancelled') say({ kind, device, seq: next.seq })
    }
    const [result] = await mailbox.ack([{ device, position: last }])
    if (result?.counted !== true) return say({ kind: 'broken', text: JSON.stringify({ device, last, result }) })
    say({ kind: 'acked', device, seq: last.seq, cursor: result.cursor })
  }
}

await Promise.all(
  DEVICES.flatMap((device, d) => {
    answered.set(device, [])
    return [append(device, 3 * d), append(device, 3 * d + 1), append(device, 3 * d + 2), handle(device)]
  }),
)
