// A server goes down with all its devices, and comes back: they come back too, and not all at once.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { bundle } from '../support/bundle.js'
import { Child } from '../support/child.js'
import { LONG, pause, until } from '../support/road/wait.js'
import { isCrowdLine, type CrowdLine, type CrowdOrder, type CrowdWelcome } from '../support/sdk/crowd-order.js'
import { TestServer } from '../support/server.js'

const DEVICES = LONG ? 5_000 : 500
const PROCESSES = LONG ? 3 : 1
const DOWN_MS = LONG ? 5_000 : 1_000
/** From the server's return on. */
const ALL_LIVE_MS = LONG ? 60_000 : 30_000
const BIN_MS = 100
const SHARE_MAX = 0.08

if (LONG) t.setTimeout(600_000)

/** The most of them in any stretch of `BIN_MS`, wherever it begins. */
function most(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  let first = 0
  let top = 0
  sorted.forEach((time, last) => {
    while ((sorted[first] ?? time) <= time - BIN_MS) first++
    top = Math.max(top, last - first + 1)
  })
  return top
}

class Process {
  readonly child: Child
  #read = 0
  #last: CrowdLine = { live: 0, welcomes: [], ended: [] }

  constructor(child: Child) {
    this.child = child
  }

  /** What it said since the last call; `live` as it is now. */
  news(): CrowdLine {
    const text = this.child.stdout
    const end = text.lastIndexOf('\n') + 1
    const lines = text.slice(this.#read, end).split('\n')
    this.#read = end
    const welcomes: CrowdWelcome[] = []
    const ended: string[] = []
    for (const line of lines) {
      if (line === '') continue
      const parsed: unknown = JSON.parse(line)
      if (!isCrowdLine(parsed)) throw new Error(`not a line of a crowd: ${line}`)
      this.#last = parsed
      welcomes.push(...parsed.welcomes)
      ended.push(...parsed.ended)
    }
    return { live: this.#last.live, welcomes, ended }
  }
}

void t.test('SDK crowd: after a server was down its devices come back spread, and all of them', async (t) => {
  const server = await TestServer.start(t)
  const program = await bundle(t, fileURLToPath(new URL('../support/sdk/crowd-child.ts', import.meta.url)))
  const tokenSecret = await readFile(join(server.folder, 'token-secret'), 'utf8')
  const processes = Array.from({ length: PROCESSES }, (_, i) => {
    const count = Math.floor(DEVICES / PROCESSES) + (i < DEVICES % PROCESSES ? 1 : 0)
    const order: CrowdOrder = { url: server.mqttUrl, prefix: `p${i}-`, count, tokenSecret }
    return new Process(new Child(t, process.execPath, [program, JSON.stringify(order)]))
  })
  const news = (): CrowdLine => {
    const all = processes.map((each) => each.news())
    return {
      live: all.reduce((sum, { live }) => sum + live, 0),
      welcomes: all.flatMap(({ welcomes }) => welcomes),
      ended: all.flatMap(({ ended }) => ended),
    }
  }
  const gathered = (): string => `${news().live} of ${DEVICES} are live; ${processes[0]?.child.stderr}`
  await until('all to be live', () => news().live === DEVICES, 60_000, gathered)

  await server.kill('SIGKILL')
  const down = Date.now()
  await until('the connections to end', () => news().live === 0)
  await pause(DOWN_MS - (Date.now() - down))
  news()
  await server.restart()
  const back = Date.now()
  const welcomes: CrowdWelcome[] = []
  const ended: string[] = []
  await until(
    'all to be live again',
    () => {
      const more = news()
      welcomes.push(...more.welcomes)
      ended.push(...more.ended)
      return more.live === DEVICES
    },
    ALL_LIVE_MS,
    gathered,
  )
  const tookMs = Math.max(...welcomes.map(({ came }) => came)) - back
  t.equal(welcomes.length, DEVICES, 'one welcome for each')
  t.same(ended, [])
  // What the devices decide; a server that stands still for a moment welcomes many at once.
  const share = most(welcomes.map(({ due }) => due)) / DEVICES
  t.comment(
    `${DEVICES} devices, down for ${back - down} ms; back within ${tookMs} ms; at most ${(share * 100).toFixed(1)} % in ${BIN_MS} ms`,
  )
  t.ok(share <= SHARE_MAX, `no more than ${SHARE_MAX * 100} % try in ${BIN_MS} ms`)
  t.ok(tookMs <= ALL_LIVE_MS)
})
