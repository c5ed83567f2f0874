// `npm run capacity -- --devices 25000000 --rate 100000 …`: what a deployment of that size needs, computed from what the
// benchmarks here measured. docs/scale.md says what the numbers are good for.

import { parseArgs } from 'node:util'
import { type Demand, planFor } from './model.js'
import { UNIT_COSTS } from './unit-costs.js'

const GIB = 1024 ** 3

/** flag → [default, what it is, key] */
const FLAGS: Readonly<Record<string, readonly [preset: number, what: string]>> = {
  devices: [1_000_000, 'devices that are known'],
  online: [0.3, 'share of them that is connected, 0 to 1'],
  rate: [1_000, 'messages a second, all devices together'],
  'payload-bytes': [64, 'bytes of a payload'],
  batch: [100, 'messages of a request to the API: 1, or many'],
  backlog: [5, 'messages that wait for a device that is not connected'],
  dedup: [1, 'share of the messages with a dedup id, 0 to 1'],
  'dedup-window-hours': [24, 'how long an id is kept'],
  replicas: [1, 'replicas of each Redis master'],
  busy: [0.5, 'highest use of a CPU core that is planned for, 0 to 1'],
  'connections-per-broker': [50_000, 'connections of one broker'],
  'shard-gib': [8, 'memory of one Redis master, in GiB; as much again is to be free beside it'],
  'connects-per-broker': [
    250,
    'CONNECTs a second that one broker takes beside its work: what was not measured is yours to say',
  ],
}

function readDemand(args: readonly string[]): Demand {
  const options = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: 'string' as const }]))
  const { values } = parseArgs({ args: [...args], options, strict: true })
  const number = (name: string): number => {
    const given = values[name]
    const value = typeof given === 'string' ? Number(given) : (FLAGS[name]?.[0] ?? 0)
    if (!Number.isFinite(value) || value < 0)
      throw new RangeError(`--${name}: a number from 0 on, not ${String(given)}`)
    return value
  }
  const share = (name: string): number => {
    const value = number(name)
    if (value > 1) throw new RangeError(`--${name}: from 0 to 1, not ${value}`)
    return value
  }
  const positive = (name: string): number => {
    const value = number(name)
    if (value === 0) throw new RangeError(`--${name}: more than 0`)
    return value
  }
  return {
    devices: number('devices'),
    online: share('online'),
    rate: number('rate'),
    payloadBytes: number('payload-bytes'),
    batch: positive('batch'),
    backlog: number('backlog'),
    dedup: share('dedup'),
    dedupWindowHours: number('dedup-window-hours'),
    replicas: number('replicas'),
    busy: positive('busy'),
    connectionsPerBroker: positive('connections-per-broker'),
    shardBytes: positive('shard-gib') * GIB,
    connectsPerBroker: positive('connects-per-broker'),
  }
}

const help = (): string =>
  [
    'usage: npm run capacity -- [flags]',
    ...Object.entries(FLAGS).map(([name, [preset, what]]) => `  --${name.padEnd(24)} ${what}; default ${preset}`),
    'measured:',
    ...Object.values(UNIT_COSTS).map(({ value, unit, what, from }) => `  ${value} ${unit}  ${what} (${from})`),
  ].join('\n')

const args = process.argv.slice(2)
if (args.includes('--help')) console.log(help())
else {
  try {
    const demand = readDemand(args)
    console.log(JSON.stringify({ demand, plan: planFor(demand, UNIT_COSTS) }, null, 2))
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${help()}`)
    process.exitCode = 64
  }
}
