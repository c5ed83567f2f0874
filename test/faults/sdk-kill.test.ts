// A device with file storage is killed, again and again, at chosen places and at any moment. What its storage says after the end
// of a process is what was recorded; the next process must go on right behind it.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { inboxLog } from '../../protocol/log-names.js'
import { logKey, readLog } from '../../sdk/device/storage/stored-values.js'
import { readJournal } from '../../sdk/node/journal.js'
import { startNode } from '../support/broker/node.js'
import { bundle } from '../support/bundle.js'
import { Child } from '../support/child.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { KILL_PLACES, type KillOrder } from '../support/sdk/kill-order.js'
import { texts } from '../support/sdk/sdk-device.js'

const KILLS = LONG ? 200 : 20
const PENDING = 2_000
const DEVICE = 'phone-1'

if (LONG) t.setTimeout(900_000)

interface Run {
  readonly seq: number
  readonly attempt: number
}

const random = (below: number): number => Math.floor(Math.random() * below)

void t.test('SDK kill: nothing recorded runs again, at most one message of each life does, in order', async (t) => {
  const node = await startNode(t, { inboxMax: 100_000 })
  const program = await bundle(t, fileURLToPath(new URL('../support/sdk/kill-child.ts', import.meta.url)))
  const folder = t.testdir({ storage: {} })
  const order = {
    url: `mqtt://127.0.0.1:${node.mqtt}`,
    device: DEVICE,
    token: await node.token(DEVICE, 3_000),
    folder: join(folder, 'storage'),
    runs: join(folder, 'runs'),
  }
  const lines = (): string => (existsSync(order.runs) ? readFileSync(order.runs, 'latin1') : '')
  let read = 0
  /** The runs since the last call. */
  const newRuns = (): Run[] => {
    const text = lines()
    const runs = text
      .slice(read)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [seq = 0, attempt = 0] = line.split(' ').map(Number)
        return { seq, attempt }
      })
    read = text.length
    return runs
  }
  const recorded = (): number => {
    const values = new Map<string, Uint8Array>()
    const path = join(order.folder, 'journal')
    if (!existsSync(path)) return 0
    readJournal(readFileSync(path), values)
    const log = values.get(logKey(inboxLog(DEVICE)))
    const [handled = 0] = log === undefined ? [] : readLog(log).record.handled.values()
    return handled
  }
  const start = (kill: KillOrder['kill']): Child =>
    new Child(t, process.execPath, [program, JSON.stringify({ ...order, fsync: Math.random() < 0.5, kill })])

  let pushed = 0
  let before = 0
  let reruns = 0
  let silent = 0
  const attempts = new Map<number, number>()
  const check = (life: string): void => {
    const runs = newRuns()
    if (runs.length === 0) silent++
    const after = recorded()
    const wrong: string[] = []
    let again = 0
    runs.forEach(({ seq, attempt }, i) => {
      // Not one left out, not one of those before: the record and the runs of a life fit together without a gap.
      if (seq !== before + 1 + i) wrong.push(`run ${i} is of seq ${seq}; ${before} was recorded`)
      const earlier = attempts.get(seq)
      if (earlier !== undefined) {
        again++
        if (attempt <= earlier) wrong.push(`seq ${seq}: attempt ${attempt} after ${earlier}`)
      } else if (attempt !== 1 && i > 0) wrong.push(`seq ${seq}: attempt ${attempt} in the midst of a life`)
      attempts.set(seq, attempt)
    })
    reruns += again
    t.same(wrong, [], `${life}: ${runs.length} runs, ${after} recorded`)
    t.ok(again <= 1, 'at most one runs again')
    t.ok(after >= before && after <= before + runs.length, 'the record grows, and not beyond what was run')
    before = after
  }

  for (let life = 1; life <= KILLS; life++) {
    if (pushed - before < PENDING) {
      await node.push(DEVICE, ...texts(pushed + 1, pushed + PENDING))
      pushed += PENDING
    }
    const inside = Math.random() < 0.5
    const place = KILL_PLACES[random(KILL_PLACES.length)] ?? 'started'
    const kill = inside ? { place, count: place === 'loaded' ? 1 : 1 + random(60) } : null
    const child = start(kill)
    if (!inside) {
      // From the first run on, or at any moment of its start.
      if (Math.random() < 0.8) await until('a run', () => lines().length > read)
      await pause(random(60))
      child.signal('SIGKILL')
    }
    t.equal((await child.exited).signal, 'SIGKILL', child.stderr)
    const { cursor = 0 } = (await node.mailbox.info(DEVICE)) ?? {}
    check(`life ${life}, ${kill === null ? 'killed from outside' : `killed at ${kill.place} ${kill.count}`}`)
    t.ok(cursor <= before, 'nothing was acknowledged that is not recorded')
  }
  const last = start(null)
  await until('everything', async () => (await node.mailbox.info(DEVICE))?.cursor === pushed, 60_000)
  await last.kill('SIGKILL')
  check('the last life')
  t.equal(before, pushed)
  t.equal(attempts.size, pushed, 'each message was handled')
  t.ok(silent < KILLS / 2, 'most lives got somewhere')
  t.comment(`${KILLS} kills, ${pushed} messages, ${reruns} ran again, ${silent} lives without a run`)
})
