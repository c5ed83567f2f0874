// The disk of a serving server fills up: it refuses, keeps what it accepted, delivers it, and accepts again.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { drained, kept, roadDevice, statusOf, untilArrived } from '../support/road/fleet.js'
import { RoadLedger } from '../support/road/ledger.js'
import { writeMark } from '../support/road/payload.js'
import { until } from '../support/road/wait.js'
import { TestServer, type RestResult } from '../support/server.js'

const folder = mkdtempSync(join(tmpdir(), 'postrider-small-'))
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]).status === 0
t.teardown(() => {
  if (mounted) spawnSync('umount', [folder])
  rmSync(folder, { recursive: true, force: true })
})

interface Result {
  readonly seq: number
  readonly epoch: string
}

const isResult = (value: unknown): value is Result =>
  typeof value === 'object' && value !== null && 'seq' in value && 'epoch' in value

function resultsOf({ body }: RestResult): readonly unknown[] {
  return typeof body === 'object' && body !== null && 'results' in body && Array.isArray(body.results)
    ? body.results
    : []
}

async function fills(t: Test): Promise<void> {
  const server = await TestServer.start(t, { folder, flags: ['--inbox-max', '100000', '--inbox-max-bytes', '1GiB'] })
  const ledger = new RoadLedger()
  const numbers = new Map<string, number>()
  const refusals = new Set<string>()

  /** Forty messages of 1,000 bytes; true when all were accepted. */
  async function push(device: string): Promise<boolean> {
    const first = (numbers.get(device) ?? 0) + 1
    numbers.set(device, first + 39)
    const messages = Array.from({ length: 40 }, (_, i) => ({ device, payload: writeMark(first + i, 1_000) }))
    const answer = await server.rest('POST', '/v1/messages', { messages })
    const results = resultsOf(answer)
    results.forEach((result, i) => {
      if (isResult(result)) ledger.accepted(device, first + i, { seq: result.seq, epoch: result.epoch })
      else refusals.add(JSON.stringify(result).replace(/"message":"[^"]*"/, '"message":"…"'))
    })
    if (answer.status !== 200) {
      refusals.add(`${answer.status}`)
      t.match(answer, { status: 503, body: { code: 'store_unavailable' } })
      t.match(answer.headers.get('retry-after'), /^[1-9]/)
    }
    return answer.status === 200 && results.every(isResult)
  }

  // A device that is connected when it happens, one with an inbox that fills the disk.
  const online = await (await roadDevice(t, server, ledger, 'online')).start().untilReady()
  let refused = 0
  await until(
    'the disk to be full',
    async () => {
      for (const device of ['online', 'offline', 'offline', 'offline']) if (!(await push(device))) refused++
      return refused >= 8
    },
    60_000,
  )
  const full = ledger.progress.accepted
  t.ok(full > 2_000, `${full} accepted before`)
  t.comment(`refused with ${[...refusals].join(', ')}`)
  t.ok([...refusals].every((refusal) => refusal === '503' || refusal.includes('"store_unavailable"')))

  await until('the connected device to have all of its own', async () => {
    const { head, cursor } = await statusOf(server, 'online')
    return head === cursor && online.received >= Number(head)
  })
  t.equal((await fetch(`${server.adminUrl}/livez`)).status, 200, 'the server lives')

  t.equal((await server.kill('SIGKILL')).signal, 'SIGKILL')
  ledger.cut()
  await server.restart()
  await online.untilReady()
  const offline = await roadDevice(t, server, ledger, 'offline')
  await offline.start().untilReady()
  const verdict = await untilArrived(ledger)
  kept(t, verdict)
  t.equal(verdict.delivered, full, 'all that was accepted has arrived')
  await drained(t, server, ['online', 'offline'])

  await until('pushes to be accepted again', () => push('offline'), 30_000)
  kept(t, await untilArrived(ledger))
  t.same(await server.stop(), { code: 0, signal: null })
}

void t.test(
  'disk full: pushes are refused with 503, what was accepted is delivered, then they are accepted again',
  { skip: mounted ? false : 'needs a small file system: run as root, so that a tmpfs of 16 MiB can be mounted' },
  fills,
)
