// What measuring costs: the main road with `--metrics on` and `off`, in alternating pairs. On means scraped as well.
import { isClean } from '../lib/checker.js'
import {
  connectionsOption,
  dataRootOption,
  dedupOption,
  devicesOption,
  durabilityOption,
  payloadOption,
  processesOption,
} from '../lib/load-options.js'
import { median, rounded } from '../lib/numbers.js'
import { choice, integer, type Values } from '../lib/options.js'
import { measureRound, type RoundResult } from '../lib/round.js'
import { defineScenario, type ScenarioContext } from '../lib/scenario.js'
import { within } from '../lib/scope.js'
import { startPostrider } from '../lib/server.js'
import { postriderDevices, postriderOrder } from '../lib/systems.js'

const spec = {
  devices: devicesOption,
  messages: integer(150_000, 1, 5_000_000, 'messages of a round'),
  batch: integer(100, 1, 1000, 'messages of a request'),
  call: choice('batch', ['batch', 'single'], 'many messages of a request, or one'),
  connections: connectionsOption,
  payloadBytes: payloadOption,
  deviceProcesses: processesOption,
  durability: durabilityOption,
  dedup: dedupOption,
  warmUp: integer(
    150_000,
    0,
    1_000_000,
    'messages of a round that go before, not measured: each process compiles its own',
  ),
  rounds: integer(10, 1, 50, 'alternating pairs'),
  scrapeMs: integer(5_000, 100, 60_000, 'milliseconds between two scrapes'),
  dataRoot: dataRootOption,
}
type MetricsOptions = Values<typeof spec>

function roundWith(
  metrics: 'on' | 'off',
  options: MetricsOptions,
  { scope }: ScenarioContext,
  scrapes: number[],
): Promise<RoundResult> {
  return within(scope, async (round) => {
    const server = await startPostrider(round, { ...options, flags: ['--metrics', metrics] })
    const url = `http://${server.host}:${server.ports.admin}/metrics`
    const scraper = setInterval(() => {
      const began = performance.now()
      fetch(url)
        .then(async (response) => {
          await response.arrayBuffer()
          if (response.ok) scrapes.push(performance.now() - began)
        })
        .catch(() => undefined) // a scrape that is lost is none
    }, options.scrapeMs)
    const batch = options.call === 'single' ? 1 : options.batch
    const http = { batch, call: options.call, dedup: options.dedup === 'on', rate: 0 } as const
    try {
      return await measureRound(round, {
        pid: server.pid,
        warmUp: options.warmUp,
        devices: postriderDevices(server, options),
        order: postriderOrder(server, options, http),
      })
    } finally {
      clearInterval(scraper)
    }
  })
}

export const metrics = defineScenario(
  'metrics',
  'what measuring costs: CPU for each message with --metrics on and off',
  spec,
  async (options, context) => {
    const on: RoundResult[] = []
    const off: RoundResult[] = []
    const scrapes: number[] = []
    for (let round = 1; round <= options.rounds; round++) {
      // Each goes first as often as the other.
      const order = round % 2 === 1 ? (['on', 'off'] as const) : (['off', 'on'] as const)
      for (const which of order) (which === 'on' ? on : off).push(await roundWith(which, options, context, scrapes))
      const [mine, bare] = [on.at(-1), off.at(-1)]
      if (mine !== undefined && bare !== undefined) {
        context.say(
          `pair ${round}: on ${mine.cpuSecondsPer100kMessages} s of CPU for 100,000 messages, off ${bare.cpuSecondsPer100kMessages} s`,
        )
      }
    }
    const ratios = on.map((mine, i) => mine.cpuSecondsPer100kMessages / (off[i]?.cpuSecondsPer100kMessages ?? NaN))
    return {
      clean: [...on, ...off].every(isClean),
      report: {
        medianRatio: rounded(median(ratios), 4),
        scrapeMs: scrapes.length === 0 ? null : { median: rounded(median(scrapes), 1), of: scrapes.length },
        medianCpuSecondsPer100k: {
          on: rounded(median(on.map((round) => round.cpuSecondsPer100kMessages)), 3),
          off: rounded(median(off.map((round) => round.cpuSecondsPer100kMessages)), 3),
        },
        ratios: ratios.map((ratio) => rounded(ratio, 4)),
      },
    }
  },
)
