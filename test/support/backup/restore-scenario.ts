// A store is backed up while it works, goes on working, is lost, and is put back as it was. What do devices and backends see?
// A device that uses the SDK, a plain one, and a plain one that comes only afterwards; they find the restored server at the same address.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { fileStorage } from '../../../sdk/file-storage.js'
import { RoadDevice, type DeviceWatch } from '../road/device.js'
import { writeMark } from '../road/payload.js'
import { until } from '../road/wait.js'
import { SdkDevice } from '../sdk/sdk-device.js'
import { TestServer } from '../server.js'

export interface Restorable {
  readonly env?: Readonly<Record<string, string>>
  /** Flags of a server on the store; after `restore`, on what was put back. */
  flags(): readonly string[]
  /** Of that server. */
  folder(): string | undefined
  /** While the server works. */
  backUp(server: TestServer): Promise<void>
  /** The server was killed. The store is gone for good; what was backed up is put into another place. */
  restore(): Promise<void>
}

const PATIENCE_MS = 60_000
/** Numbers of messages that are pushed after the restore. */
const NEW = 1_000

interface Accepted {
  readonly number: number
  readonly seq: number
  readonly epoch: string
}

interface Arrival {
  readonly number: number
  readonly seq: number | null
  readonly dup: boolean
}

class Seen implements DeviceWatch {
  readonly arrivals: Arrival[] = []

  connected() {
    return {
      arrived: (number: number, seq: number | null, dup: boolean) => void this.arrivals.push({ number, seq, dup }),
      acked: () => undefined,
    }
  }

  has(number: number): boolean {
    return this.arrivals.some((arrival) => arrival.number === number)
  }

  numbers(from = 0): readonly number[] {
    return this.arrivals.slice(from).map(({ number }) => number)
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

class Backend {
  /** By device, in order. */
  readonly accepted = new Map<string, Accepted[]>()
  readonly #server: () => TestServer

  constructor(server: () => TestServer) {
    this.#server = server
  }

  /** One message to each device. */
  async push(number: number, devices: readonly string[]): Promise<void> {
    await Promise.all(
      devices.map(async (device) => {
        const { status, body } = await this.send(device, number)
        if (status !== 202) throw new Error(`push of ${number} to ${device}: ${status} ${JSON.stringify(body)}`)
        const list = this.accepted.get(device) ?? []
        this.accepted.set(device, [...list, { number, seq: Number(body['seq']), epoch: String(body['epoch']) }])
      }),
    )
  }

  async send(device: string, number: number) {
    const sent = { payload: writeMark(number, 0, number), dedupId: `message-${number}` }
    const { status, body } = await this.#server().rest('POST', `/v1/devices/${device}/messages`, sent)
    return { status, body: typeof body === 'object' && body !== null ? ({ ...body } as Record<string, unknown>) : {} }
  }

  of(device: string): readonly Accepted[] {
    return this.accepted.get(device) ?? []
  }
}

export async function restoreScenario(t: Test, store: Restorable): Promise<void> {
  const portFlags = (server: TestServer | null) =>
    server === null
      ? []
      : (['mqtt', 'ws', 'http', 'admin'] as const).flatMap((name) => [`--${name}-port`, String(server.ports[name])])
  const start = (before: TestServer | null): Promise<TestServer> => {
    const folder = store.folder()
    return TestServer.start(t, {
      flags: [...store.flags(), ...portFlags(before)],
      ...(folder === undefined ? {} : { folder }),
      ...(store.env === undefined ? {} : { env: store.env }),
    })
  }
  let server = await start(null)
  const backend = new Backend(() => server)
  const devices = ['sdk-1', 'plain-1', 'away-1'] as const
  const memory = await mkdtemp(join(tmpdir(), 'postrider-sdk-'))
  t.teardown(() => rm(memory, { recursive: true, force: true }))

  const sdk = new SdkDevice(t, {
    urls: server.mqttUrl,
    deviceId: 'sdk-1',
    token: await server.token('sdk-1'),
    storage: fileStorage({ folder: memory }),
  })
  const handled = (): readonly number[] => sdk.texts.map((text) => Number(text.split(' ')[0]))
  const plain = { 'plain-1': new Seen(), 'away-1': new Seen() }
  const road = async (device: 'plain-1' | 'away-1'): Promise<void> => {
    const token = await server.token(device)
    const made = new RoadDevice({ device, token, ledger: plain[device], port: () => server.ports.mqtt })
    t.teardown(() => made.stop(true))
    await made.start().untilReady()
  }
  await road('plain-1')

  // Work; a backup in the middle of pushes; more work, all of it handled.
  const work = { number: 0, stop: false }
  const pushing = (async () => {
    while (!work.stop || work.number < 60) await backend.push(++work.number, devices)
  })()
  await until('work', () => work.number >= 30, PATIENCE_MS)
  await store.backUp(server)
  const atBackup = work.number
  await until('more work', () => work.number >= atBackup + 15, PATIENCE_MS)
  work.stop = true
  await pushing
  const last = work.number
  await until(
    'all to be handled',
    () => handled().includes(last) && plain['plain-1'].has(last),
    PATIENCE_MS,
    () => sdk.describe(),
  )
  t.same(handled(), range(1, last), 'the SDK device has handled all')
  const before = plain['plain-1'].arrivals.length

  await server.kill('SIGKILL')
  await store.restore()
  server = await start(server)
  const news = range(NEW + 1, NEW + last)
  for (const number of news) await backend.push(number, devices)
  const newest = news.at(-1) ?? 0
  await road('away-1')
  await until(
    'the new messages',
    () => handled().includes(newest) && plain['plain-1'].has(newest) && plain['away-1'].has(newest),
    PATIENCE_MS,
    () => `${sdk.describe()}; ${plain['plain-1'].numbers(before).join(' ')}`,
  )

  // What backends see.
  const kept = new Map<string, number>()
  for (const device of devices) {
    const all = backend.of(device)
    const first = all.find(({ number }) => number === NEW + 1)
    const keptUpTo = (first?.seq ?? 0) - 1
    kept.set(device, keptUpTo)
    t.ok(
      keptUpTo >= 20 && keptUpTo < last,
      `${device}: what was accepted after the backup is gone (${keptUpTo} of ${last})`,
    )
    t.same(
      all.filter(({ number }) => number > NEW).map(({ seq }) => seq),
      range(keptUpTo + 1, keptUpTo + last),
      `${device}: new messages have seqs that lost ones had`,
    )
    const old = all.find(({ number }) => number === last)
    t.not(first?.epoch, old?.epoch, `${device}: in an epoch of their own`)
    const lost = await server.rest('GET', `/v1/devices/${device}/messages/${last}?epoch=${old?.epoch ?? ''}`)
    t.match(lost, { status: 404, body: { code: 'message_gone' } }, `${device}: a lost message is told as such`)
    t.match(await backend.send(device, 1), { status: 200, body: { seq: 1, duplicate: true, epoch: old?.epoch } })
  }

  // What devices see.
  t.same(
    handled(),
    [...range(1, last), ...news],
    'SDK: nothing came to the handler twice, and nothing new was left out',
  )
  t.equal(sdk.resets.length, 1, 'SDK: told once that data is gone')
  t.match(sdk.resets, [{ log: 'd:sdk-1', cursor: Number, head: Number }])
  t.same(sdk.gaps, [], 'SDK: no gap, nothing that it has not seen')
  const after = plain['plain-1'].arrivals.slice(before)
  const again = after.filter(({ number }) => number < NEW)
  const keptByPlain = kept.get('plain-1') ?? 0
  t.same(
    again.map(({ number }) => number),
    range(keptByPlain - again.length + 1, keptByPlain),
    `plain: what was handled after the backup comes again (${again.length})`,
  )
  t.ok(
    again.every(({ dup }) => dup),
    'plain: with DUP',
  )
  t.same(plain['plain-1'].numbers(before).slice(again.length), news, 'plain: then the new ones, each once')
  t.same(
    plain['away-1'].numbers(),
    [...range(1, kept.get('away-1') ?? 0), ...news],
    'the one that was away: all there is',
  )

  // The backend repeats, with its dedup ids, what was lost.
  const repeated = range((kept.get('sdk-1') ?? 0) + 1, last)
  for (const number of repeated) t.match(await backend.send('sdk-1', number), { status: 202 }, `${number} again`)
  await until(
    'the repeated ones',
    () => sdk.duplicates.length === repeated.length,
    PATIENCE_MS,
    () => sdk.describe(),
  )
  t.same(
    handled(),
    [...range(1, last), ...news],
    'SDK: what it has handled does not come to the handler, and it is told',
  )
  t.match(await server.stop(), { code: 0 })
}
