// `npm run bench -- <scenario> [flags]`: prints one JSON line on stdout, progress on stderr. Exit codes: 0; 1 when a message
// was lost, repeated or reordered, or the run failed; 2 for a usage error.
import { UsageError } from './lib/options.js'
import type { Scenario } from './lib/scenario.js'
import { Scope } from './lib/scope.js'
import { drain } from './scenarios/drain.js'
import { idle } from './scenarios/idle.js'
import { latency } from './scenarios/latency.js'
import { local } from './scenarios/local.js'
import { metrics } from './scenarios/metrics.js'
import { redis } from './scenarios/redis.js'
import { redisSplit } from './scenarios/redis-split.js'
import { redisStore } from './scenarios/redis-store.js'
import { requests } from './scenarios/requests.js'
import { scrape } from './scenarios/scrape.js'
import { storeRoad } from './scenarios/store-road.js'
import { stores } from './scenarios/stores.js'
import { traffic } from './scenarios/traffic.js'
import { uplink } from './scenarios/uplink.js'

const scenarios: readonly Scenario[] = [
  local,
  requests,
  latency,
  drain,
  idle,
  uplink,
  traffic,
  metrics,
  scrape,
  redis,
  redisSplit,
  redisStore,
  stores,
  storeRoad,
]

function help(): string {
  const list = scenarios.map((scenario) => `  ${scenario.name}: ${scenario.summary}\n${scenario.flags}`)
  return `usage: npm run bench -- <scenario> [flags]\n\n${list.join('\n\n')}\n`
}

async function run(scenario: Scenario, args: readonly string[], scope: Scope): Promise<number> {
  const say = (line: string): void => console.error(`${scenario.name}: ${line}`)
  try {
    const { report, clean } = await scenario.run(args, { scope, say })
    console.log(JSON.stringify(report))
    if (!clean) say('NOT CLEAN: a message was lost, repeated or reordered')
    return clean ? 0 : 1
  } finally {
    await scope.close()
  }
}

async function main(args: readonly string[]): Promise<number> {
  const [name = 'help', ...flags] = args
  if (name === 'help' || name === '--help' || flags.includes('--help')) {
    console.error(help())
    return 0
  }
  const scenario = scenarios.find((each) => each.name === name)
  if (scenario === undefined) throw new UsageError(`unknown scenario ${name}`)
  const scope = new Scope()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      const end = (): never => process.exit(signal === 'SIGINT' ? 130 : 143)
      scope.close().then(end, (error: unknown) => {
        console.error(error)
        end()
      })
    })
  }
  return run(scenario, flags, scope)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof UsageError) console.error(`${error.message}\n\nhelp: npm run bench -- help`)
  else console.error(error)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
