// What one of each costs, as the benchmarks here measured it: the only numbers that the capacity model starts from. Each names
// the command that makes it. Measured on the machine of docs/performance.md, with processes that others used at the same time,
// so that CPU time is what counts, and not how long something took; those of single messages on one that was very busy, so that they are rather too high.

export interface UnitCost {
  readonly value: number
  readonly unit: string
  readonly what: string
  /** What measures it; or where a number of another kind is from. */
  readonly from: string
}

const cost = (value: number, unit: string, what: string, from: string): UnitCost => ({ value, unit, what, from })

const REDIS_BENCH = 'npm run bench -- redis'
const STORE_BENCH = 'npm run bench -- redis-store --memory-devices 100000'

export const UNIT_COSTS = {
  connectionBytes: cost(9_346, 'B', 'memory of a broker for an idle connection, without TLS', 'npm run bench -- idle'),
  brokerMicros: cost(16, 'µs', 'CPU of a broker for a message that is delivered and acknowledged', REDIS_BENCH),
  apiBatchMicros: cost(12.4, 'µs', 'CPU of an API node for a message, in requests of 100', REDIS_BENCH),
  apiSingleMicros: cost(205, 'µs', 'CPU of an API node for a message that comes alone', `${REDIS_BENCH} --batch 1`),
  redisBatchMicros: cost(15.7, 'µs', 'CPU of Redis for a message: append, notice, acknowledgement', REDIS_BENCH),
  redisSingleMicros: cost(96, 'µs', 'the same for a message that comes alone', `${REDIS_BENCH} --batch 1`),
  deviceBytes: cost(422, 'B', 'memory of Redis for a device with an empty inbox', STORE_BENCH),
  firstMessageBytes: cost(
    342,
    'B',
    'memory of Redis for the first message that waits (payload of 64 bytes)',
    STORE_BENCH,
  ),
  furtherMessageBytes: cost(65, 'B', 'memory of Redis for each further one, beside its payload', STORE_BENCH),
  dedupBytes: cost(72, 'B', 'memory of Redis for a dedup id', STORE_BENCH),
  messageDownBytes: cost(
    18,
    'B',
    'on the wire to a device, beside the payload, plain mode',
    'npm run bench -- traffic',
  ),
  messageUpBytes: cost(4, 'B', 'on the wire from a device for a message', 'npm run bench -- traffic'),
  connectBytes: cost(
    207,
    'B',
    'on the wire both ways for a connection, plain mode, without TLS',
    'npm run bench -- traffic',
  ),
  idleHourBytes: cost(236, 'B', 'on the wire both ways for an idle hour, keep-alive 60 s', 'npm run bench -- traffic'),
} as const satisfies Record<string, UnitCost>

export type UnitCosts = Readonly<Record<keyof typeof UNIT_COSTS, UnitCost>>
