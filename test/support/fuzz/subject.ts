// The server under fire, and what must stay true of it: it lives, logs no error, lets every connection go, needs no more memory
// than before, and a device and a backend that have nothing to do with all this notice nothing.

import type { Test } from 'tap'
import type { RoadDevice } from '../road/device.js'
import { drained, kept, producerFor, roadDevice, untilArrived } from '../road/fleet.js'
import { RoadLedger } from '../road/ledger.js'
import { metric, ownMegabytes, residentMegabytes } from '../road/observe.js'
import type { RoadProducer } from '../road/producer.js'
import { pause, until } from '../road/wait.js'
import { troublesIn } from '../server-log.js'
import { TestServer } from '../server.js'
import { campaign, patience, run, type Campaign, type RunCase } from './campaign.js'
import { collectGarbage, INSPECTABLE } from './collect-garbage.js'

/** The devices of the cases. Few, so that what the store keeps of them does not grow for ever. */
export const FUZZ_DEVICES: readonly string[] = [
  ...Array.from({ length: 12 }, (_, i) => `fuzz-${i}`),
  '__proto__',
  'constructor',
  'a:b@c._-',
  'x'.repeat(128),
]

export const CANARY = 'canary'

/** Cases at a time. */
const LANES = 8

export interface SubjectOptions {
  readonly flags?: readonly string[]
}

export class Subject {
  readonly server: TestServer
  readonly campaign: Campaign
  readonly #t: Test
  readonly #ledger = new RoadLedger()
  readonly #device: RoadDevice
  readonly #producer: RoadProducer

  private constructor(
    t: Test,
    server: TestServer,
    plan: Campaign,
    device: RoadDevice,
    producer: RoadProducer,
    ledger: RoadLedger,
  ) {
    this.#t = t
    this.server = server
    this.campaign = plan
    this.#device = device
    this.#producer = producer
    this.#ledger = ledger
  }

  static async start(t: Test, options: SubjectOptions = {}): Promise<Subject> {
    const plan = campaign(t)
    t.setTimeout(patience())
    const server = await TestServer.start(t, {
      nodeFlags: INSPECTABLE,
      // Cases connect the same devices again and again, and shall not have to wait.
      flags: [
        '--connect-rate-per-device',
        'off',
        '--packet-rate-per-device',
        '2000/s',
        '--publish-rate-per-device',
        '2000/s',
        '--byte-rate-per-device',
        'off',
        // What is remembered of the canary's messages shall not grow for as long as the campaign lasts.
        '--dedup-window',
        '10s',
        ...(options.flags ?? []),
      ],
    })
    const ledger = new RoadLedger()
    const device = await (await roadDevice(t, server, ledger, CANARY)).start().untilReady()
    const producer = await producerFor(t, server, ledger, { devices: [CANARY], lanes: 1, batch: 2, rate: 100 })
    return new Subject(t, server, plan, device, producer.start(), ledger)
  }

  /** Runs the cases, and asserts all that must stay true. `tidyUp`: takes away what the cases have stored. */
  async endure(runCase: RunCase, tidyUp: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const lanes = LANES
    const t = this.#t
    const { seconds, only } = this.campaign
    const { server } = this
    // What is done for the first time needs memory for good: caches, compiled code, the devices of the cases.
    // The more cases, the longer it takes until nothing is done for the first time any more.
    const warm = Math.max(4, seconds / 2)
    const warmUp = await run(this.campaign, only === null ? warm : seconds, { lanes }, runCase)
    await tidyUp()
    const before = await this.#memory()
    const resident = residentMegabytes(server)
    const main = only === null ? await run(this.campaign, seconds, { from: warmUp.cases, lanes }, runCase) : warmUp
    t.same([...warmUp.faults, ...main.faults], [], 'no case found a fault')
    if (server.child.status === null) await tidyUp()
    const after = server.child.status === null ? await this.#memory() : Infinity
    t.comment(`${warmUp.cases + main.cases} cases; ${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after`)

    t.equal(server.child.status, null, 'the server lives')
    t.same(troublesIn(server.child.stderr), [], 'it logged no error')
    if (server.child.status !== null) return
    t.equal(await metric(server, 'api_internal_errors_total'), 0, 'no request failed unforeseen')
    // Of its own alone: the mapped pages of the store come and go as the system likes.
    t.ok(after - before < resident * 0.2, `memory is back to within 20 % of ${resident.toFixed(1)} MB`)
    await until('every connection to end', async () => (await metric(server, 'sockets')) === 1).catch(
      (error: unknown) => t.fail(String(error)),
    )

    await this.#producer.stop()
    kept(t, await untilArrived(this.#ledger))
    t.equal(this.#device.connections, 1, 'the canary was connected all through')
    t.same([...this.#producer.failures], [], 'and no push to it failed')
    await drained(t, server, [CANARY])
  }

  /** Megabytes of its own, once its garbage is collected and it has settled. */
  async #memory(): Promise<number> {
    const seen: number[] = []
    for (let i = 0; i < 3; i++) {
      await pause(200)
      await collectGarbage(this.server.child.stderr)
      seen.push(ownMegabytes(this.server))
    }
    return Math.min(...seen)
  }
}
