import t, { type Test } from 'tap'
import { OutcomeUnknown, StoreUnavailable } from '../../core/errors.js'
import { measuredEvents, measuredMailbox, measuredUplink, measuredWebhooks } from '../../core/metrics/measured-store.js'
import {
  BATCHED_OPERATIONS,
  STORE_OPERATIONS,
  StoreCounters,
  type StoreOperation,
} from '../../core/metrics/store-counters.js'
import type { EventLog } from '../../core/ports/event-log.js'
import type { Mailbox } from '../../core/ports/mailbox.js'
import type { Uplink } from '../../core/ports/uplink.js'
import type { WebhookStore } from '../../core/ports/webhook-store.js'

/** Each look at it is 250 ms after the last. */
const ticking = () => {
  let now = 0
  return { monotonic: () => (now += 250) }
}

/** Answers or rejects every call with what it is told to, and says what was asked. */
class Fake<Port extends object> {
  readonly calls: Array<readonly [method: string, args: readonly unknown[]]> = []
  answer: () => unknown = () => undefined
  readonly #made: unknown = new Proxy(
    {},
    {
      get: (_, name) =>
        name === 'usage' || name === 'generation'
          ? `the ${name}`
          : async (...args: unknown[]) => {
              this.calls.push([String(name), args])
              return this.answer()
            },
    },
  )

  get port(): Port {
    if (!this.#answersAll(this.#made)) throw new TypeError('it is something else')
    return this.#made
  }

  #answersAll(value: unknown): value is Port {
    return value === this.#made
  }
}

type Call = readonly [method: string, operation: StoreOperation, args: readonly unknown[], items?: number]

const MAILBOX: readonly Call[] = [
  ['append', 'append', [['a', 'b', 'c']], 3],
  ['read', 'read', [{ device: 'a' }]],
  ['ack', 'ack', [['a', 'b']], 2],
  ['resume', 'resume', [{ device: 'a' }]],
  ['claim', 'claim', ['a', { node: 'n' }, { keep: true }]],
  ['release', 'release', ['a', 'id']],
  ['keepSubscription', 'keep_subscription', ['a', 'id', 'inbox/a']],
  ['heads', 'heads', [['a', 'b', 'c', 'd']], 4],
  ['info', 'info', ['a']],
  ['list', 'list', [{ limit: 1 }]],
  ['peek', 'peek', ['a', { limit: 1 }]],
  ['state', 'state', ['a', 1, 'epoch']],
  ['cancel', 'cancel', ['a', 1, 'epoch']],
  ['purge', 'purge', ['a']],
  ['ensure', 'ensure', ['a']],
  ['ping', 'ping', []],
]
const UPLINK: readonly Call[] = [
  ['append', 'uplink_append', [['a', 'b']], 2],
  ['read', 'uplink_read', [{ after: null }]],
  ['end', 'uplink_end', []],
]
const EVENTS: readonly Call[] = [
  ['read', 'events_read', [{ after: null, limit: 9 }], 5],
  ['end', 'events_end', []],
]
const WEBHOOKS: readonly Call[] = [
  ['put', 'webhook_put', [{ id: 'a' }, null, new Map()]],
  ['get', 'webhook_get', ['a']],
  ['list', 'webhook_list', []],
  ['remove', 'webhook_remove', ['a']],
  ['acquire', 'webhook_acquire', ['a', 'n', 1]],
  ['commit', 'webhook_commit', ['a', 1, { cursors: new Map(), park: ['x', 'y'], unpark: ['z'] }, 2], 3],
  ['release', 'webhook_release', ['a', 1]],
]

/** What every answer is; `events_read` counts its events. */
const ANSWER = { events: [1, 2, 3, 4, 5] }

const failure = async (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    () => null,
    (error: unknown) => error,
  )

/** Each call gets its answer or its error as it is, and is one of one operation. */
async function measures<Port extends object>(
  t: Test,
  wrap: (port: Port, counters: StoreCounters) => Port,
  calls: readonly Call[],
): Promise<Port> {
  const counters = new StoreCounters()
  const inner = new Fake<Port>()
  const measured = wrap(inner.port, counters)
  const methods = Object.keys(measured).filter((name) => !['close', 'usage', 'generation'].includes(name))
  t.same(methods.toSorted(), calls.map(([method]) => method).toSorted(), 'every call of the port is here')
  for (const [method, operation, args, items] of calls) {
    const call = async (): Promise<unknown> => {
      const found: unknown = Reflect.get(measured, method)
      return typeof found === 'function' ? Reflect.apply(found, measured, args) : t.fail(`no ${method}`)
    }
    inner.answer = () => ANSWER
    t.equal(await call(), ANSWER, `${method}: its answer`)
    t.same(inner.calls.at(-1), [method, args], `${method}: what was asked`)
    t.equal(counters.seconds[operation].count, 1)
    t.equal(counters.seconds[operation].sum, 0.25)
    const batched = BATCHED_OPERATIONS.find((name) => name === operation)
    t.equal(batched !== undefined, items !== undefined)
    if (batched !== undefined) t.equal(counters.items[batched].sum, items, `${method}: its items`)
    for (const error of [new StoreUnavailable('gone'), new OutcomeUnknown('cut'), new TypeError('defect')]) {
      inner.answer = () => {
        throw error
      }
      t.equal(await failure(call()), error, `${method}: its error`)
    }
    t.same(counters.errors[operation], { store_unavailable: 1, outcome_unknown: 1, other: 1 })
    t.equal(counters.seconds[operation].count, 4, 'what fails takes its time, too')
  }
  const counted = STORE_OPERATIONS.filter((operation) => counters.seconds[operation].count > 0)
  t.same(counted.toSorted(), calls.map(([, operation]) => operation).toSorted())
  return measured
}

void t.test('measured store: every call of every port is timed and counted, and stays what it was', async (t) => {
  const mailbox = await measures<Mailbox>(t, (p, c) => measuredMailbox(p, c, ticking()), MAILBOX)
  t.equal(Reflect.get(mailbox, 'generation'), 'the generation')
  const uplink = await measures<Uplink>(t, (p, c) => measuredUplink(p, c, ticking()), UPLINK)
  t.equal(Reflect.get(uplink, 'usage'), 'the usage')
  const events = await measures<EventLog>(t, (p, c) => measuredEvents(p, c, ticking()), EVENTS)
  t.equal(Reflect.get(events, 'usage'), 'the usage')
  await measures<WebhookStore>(t, (p, c) => measuredWebhooks(p, c, ticking()), WEBHOOKS)
  const known = [...MAILBOX, ...UPLINK, ...EVENTS, ...WEBHOOKS].map(([, operation]) => operation)
  t.same(known.toSorted(), [...STORE_OPERATIONS].toSorted(), 'no operation is listed that nothing counts')
})

void t.test('measured store: an event log that knows no such place has no events to count', async (t) => {
  const counters = new StoreCounters()
  const inner = new Fake<EventLog>()
  inner.answer = () => null
  t.equal(await measuredEvents(inner.port, counters, ticking()).read({ after: 'x', limit: 1 }), null)
  t.equal(counters.items.events_read.count, 0)
  t.equal(counters.seconds.events_read.count, 1)
})
