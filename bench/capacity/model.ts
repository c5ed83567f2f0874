// From what is asked for and what one of each costs: how many nodes and shards, how much memory and bandwidth. A pure function.
// The model is linear: it knows no limit that a benchmark has not met. docs/scale.md says where it ends.

import type { UnitCosts } from './unit-costs.js'

export interface Demand {
  readonly devices: number
  /** Share of them that is connected, 0 to 1. */
  readonly online: number
  /** Messages a second, all devices together. */
  readonly rate: number
  readonly payloadBytes: number
  /** Messages of a request to the API. */
  readonly batch: number
  /** Messages that wait for a device that is not connected. */
  readonly backlog: number
  /** Share of the messages with a dedup id. */
  readonly dedup: number
  readonly dedupWindowHours: number
  /** Copies of each Redis master. */
  readonly replicas: number
  /** Highest use of a CPU core that is planned for, 0 to 1. */
  readonly busy: number
  readonly connectionsPerBroker: number
  readonly shardBytes: number
  /** CONNECTs a second that one broker takes while it also delivers. */
  readonly connectsPerBroker: number
}

export interface Plan {
  /** `connectionBytes`: memory of the connections of one, beside what a process takes anyway. */
  readonly brokers: {
    readonly count: number
    readonly because: string
    readonly connectionBytes: number
    readonly cpu: number
  }
  readonly apis: { readonly count: number; readonly cpu: number }
  readonly shards: {
    readonly count: number
    readonly because: string
    readonly memoryBytes: number
    readonly withReplicas: number
  }
  readonly memory: {
    readonly devices: number
    readonly backlog: number
    readonly dedup: number
    readonly total: number
  }
  readonly store: { readonly operationsPerSecond: number; readonly cpu: number }
  readonly bandwidth: { readonly downBitsPerSecond: number; readonly upBitsPerSecond: number }
  /** Until all are back after a failure of everything; and after the loss of one broker. */
  readonly storm: { readonly allSeconds: number; readonly oneBrokerSeconds: number }
}

/** How many are needed for each reason, and the reason that asks for most. */
function most(reasons: Readonly<Record<string, number>>): { readonly count: number; readonly because: string } {
  const [because, count] = Object.entries(reasons).toSorted(([, a], [, b]) => b - a)[0] ?? ['', 1]
  return { count: Math.max(1, Math.ceil(count)), because }
}

/** The smallest message that keeps its place in the log of its own: the first and the others that wait. */
function waitingBytes(demand: Demand, costs: UnitCosts): number {
  if (demand.backlog <= 0) return 0
  const further = costs.furtherMessageBytes.value + demand.payloadBytes
  // The first was measured with 64 bytes of payload.
  const first = costs.firstMessageBytes.value - 64 + demand.payloadBytes
  return first + Math.max(0, demand.backlog - 1) * further
}

export function planFor(demand: Demand, costs: UnitCosts): Plan {
  const online = demand.devices * demand.online
  const alone = demand.batch <= 1
  const cores = (micros: number): number => (demand.rate * micros) / 1e6 / demand.busy
  const brokerCpu = cores(costs.brokerMicros.value)
  const redisCpu = cores((alone ? costs.redisSingleMicros : costs.redisBatchMicros).value)
  const apiCpu = cores((alone ? costs.apiSingleMicros : costs.apiBatchMicros).value)

  const memory = {
    devices: demand.devices * costs.deviceBytes.value,
    backlog: (demand.devices - online) * waitingBytes(demand, costs),
    // An id is kept for one to two windows.
    dedup: demand.rate * demand.dedup * demand.dedupWindowHours * 3_600 * 1.5 * costs.dedupBytes.value,
  }
  const total = memory.devices + memory.backlog + memory.dedup
  const shards = most({ memory: total / demand.shardBytes, CPU: redisCpu })
  const brokers = most({ connections: online / demand.connectionsPerBroker, CPU: brokerCpu })
  // One more, so that the loss of one and its update leave the others at what is planned.
  const brokerCount = brokers.count + 1
  const idle = (online * costs.idleHourBytes.value) / 3_600 / 2
  return {
    brokers: {
      count: brokerCount,
      because: brokers.because,
      connectionBytes: (online / brokers.count) * costs.connectionBytes.value,
      cpu: brokerCpu,
    },
    apis: { count: Math.max(2, Math.ceil(apiCpu) + 1), cpu: apiCpu },
    shards: {
      count: shards.count,
      because: shards.because,
      memoryBytes: total / shards.count,
      withReplicas: shards.count * (1 + demand.replicas),
    },
    memory: { ...memory, total },
    // An append, and at most one acknowledgement: those of 200 ms go together.
    store: { operationsPerSecond: demand.rate * 2, cpu: redisCpu },
    bandwidth: {
      downBitsPerSecond: 8 * (demand.rate * (demand.payloadBytes + costs.messageDownBytes.value) + idle),
      upBitsPerSecond: 8 * (demand.rate * costs.messageUpBytes.value + idle),
    },
    storm: {
      allSeconds: online / (brokerCount * demand.connectsPerBroker),
      oneBrokerSeconds: online / brokers.count / ((brokerCount - 1) * demand.connectsPerBroker),
    },
  }
}
