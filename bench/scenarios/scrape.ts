// What a scrape costs a node that holds many connections: milliseconds until its answer is there, and CPU of the server.
import { setTimeout as delay } from 'node:timers/promises'
import { isClean, judge } from '../lib/checker.js'
import { Devices } from '../lib/devices.js'
import { dataRootOption, durabilityOption } from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { integer, type Values } from '../lib/options.js'
import { cpuSeconds } from '../lib/proc-stats.js'
import { Producer } from '../lib/producers.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: integer(10_000, 1, 19_000, 'connected devices (a server has 20,000 open files or less on many machines)'),
  deviceProcesses: integer(2, 1, 8, 'processes that hold the devices'),
  scrapes: integer(100, 10, 10_000, 'scrapes, one after the other'),
  durability: durabilityOption,
  dataRoot: dataRootOption,
}

/** A sweep has looked at all of them by then, so that what it tells is in the scrape. */
const SETTLE_MS = 12_000
const GAP_MS = 50
const QUIET_MS = 10_000

function measure(options: Values<typeof spec>, { scope, say }: ScenarioContext) {
  return within(scope, async (run) => {
    const server = await startPostrider(run, options)
    const shape = { ...options, messages: options.devices, connections: 16, payloadBytes: 64 }
    const devices = new Devices(run, postriderDevices(server, shape))
    await devices.open()
    await delay(SETTLE_MS)
    say(`${options.devices} devices are connected`)
    const url = `http://${server.host}:${server.ports.admin}/metrics`
    const took: number[] = []
    let bytes = 0
    const scrape = async (): Promise<void> => {
      const began = performance.now()
      bytes = (await (await fetch(url)).arrayBuffer()).byteLength
      took.push(performance.now() - began)
    }
    // The first ones compile.
    for (let i = 0; i < 10; i++) await scrape()
    took.length = 0
    const pause = (): Promise<void> => delay(GAP_MS)
    /** CPU of the server while something is done so often, and the time that it took. */
    async function costOf(work: () => Promise<void>): Promise<{ readonly cpu: number; readonly seconds: number }> {
      const [cpu, began] = [cpuSeconds(server.pid), performance.now()]
      for (let i = 0; i < options.scrapes; i++) await work()
      return { cpu: cpuSeconds(server.pid) - cpu, seconds: (performance.now() - began) / 1_000 }
    }
    const scraped = await costOf(() => scrape().then(pause))
    // What the connections cost in any case.
    const rest = await costOf(pause)
    const idleCpu = (rest.cpu / rest.seconds) * scraped.seconds
    const producer = new Producer(run, { firstDevice: 0, devices: options.devices })
    const report = await producer.send(
      postriderOrder(server, shape, { batch: 100, call: 'batch', dedup: false, rate: 0 }),
    )
    await devices.wait(report.accepted, QUIET_MS)
    const verdict = judge([await producer.summary()], await devices.summaries())
    const sorted = took.toSorted((a, b) => a - b)
    return {
      clean: isClean(verdict) && report.accepted === options.devices,
      report: {
        cpuMsPerScrape: rounded(((scraped.cpu - idleCpu) / options.scrapes) * 1_000, 2),
        scrapeMs: {
          median: rounded(median(took), 2),
          p99: rounded(sorted[Math.floor(sorted.length * 0.99)] ?? NaN, 2),
          least: rounded(sorted[0] ?? NaN, 2),
        },
        bytes,
        ...verdict,
      },
    }
  })
}

export const scrape = defineScenario('scrape', 'what a scrape costs with many connections', spec, measure)
