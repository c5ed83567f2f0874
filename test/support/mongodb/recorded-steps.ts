// Changes of one device, each on top of the one before, with everything random in it said: what is recorded from a real server, and
// what the unit test builds again.

import { DEFAULT_MAILBOX_LIMITS } from '../../../core/ports/mailbox.js'
import {
  beforeOf,
  bodiesOf,
  deviceWrite,
  type DeviceWrite,
  readDevice,
} from '../../../core/stores/mongodb/device-document.js'
import { DeviceState } from '../../../core/stores/mongodb/device-state.js'
import { dueTime } from '../../../core/stores/mongodb/due.js'
import { leavingDedups, planChunks, tailIsLong } from '../../../core/stores/mongodb/spill.js'
import {
  ack,
  age,
  append,
  cancel,
  claim,
  type Moment,
  prepare,
  resume,
} from '../../../core/stores/mongodb/transitions.js'
import { message, range } from '../../conformance/messages.js'

export interface Recorded {
  readonly name: string
  /** The document; null: there is none. */
  readonly before: unknown
  readonly write: DeviceWrite
  readonly after: unknown
}

const START = Date.UTC(2030, 0, 1)

interface Step {
  /** Seconds since the first one. */
  readonly at: number
  readonly change: (state: DeviceState, moment: Moment) => unknown
}

const identified = (from: number, count: number) =>
  range(from, from + count - 1).map((n) =>
    prepare(message('device-1', { payload: `p${n}`, dedupId: `id-${n}`, ttl: n % 7 === 0 ? 60 : null })),
  )

export const STEPS: Readonly<Record<string, Step>> = {
  'the first message': {
    at: 0,
    change: (state, moment) =>
      append(
        state,
        prepare(message('device-1', { payload: 'ä', priority: 'high', attributes: [['$set', 'a.b']] })),
        moment,
      ),
  },
  'ten more': {
    at: 1,
    change: (state, moment) => identified(1, 10).map((item) => append(state, item, moment)),
  },
  'a claim': { at: 2, change: (state, moment) => claim(state, { node: 'n', claimId: 'c' }, false, moment) },
  'one is cancelled': { at: 3, change: (state, moment) => cancel(state, 5, null, moment) },
  'an ack of the front': {
    at: 4,
    change: (state, moment) => ack(state, { device: 'device-1', position: { epoch: 'epoch-00000', seq: 3 } }, moment),
  },
  'so many that they spill': {
    at: 5,
    change: (state, moment) => identified(11, 70).map((item) => append(state, item, moment)),
  },
  'another generation, and ids leave': {
    at: 6,
    change: (state, moment) => identified(81, 2).map((item) => append(state, item, { ...moment, generation: 'g2' })),
  },
  'some have expired': {
    at: 70,
    change: (state, moment) => resume(state, 'c', { epoch: 'epoch-00000', seq: 8 }, moment),
  },
  'all is acknowledged': {
    at: 71,
    change: (state, moment) => ack(state, { device: 'device-1', position: { epoch: 'epoch-6', seq: 83 } }, moment),
  },
  'another one, with a receipt': {
    at: 72,
    change: (state, moment) =>
      append(state, prepare(message('device-1', { payload: 'late', ttl: 30, receipt: true })), moment),
  },
  'its node is dead': { at: 73, change: (state, moment) => state.endClaim(moment.now) },
  'what waited has expired, and nobody looks for more': {
    at: 103,
    change: (state, moment) => {
      state.notes.due = dueTime(state, moment.limits)
      state.changed = true
    },
  },
}

/** Does a step on the document `before`; the state afterwards, and the write. */
export function stepOf(name: string, before: unknown): { readonly state: DeviceState; readonly write: DeviceWrite } {
  const step = STEPS[name]
  if (step === undefined) throw new Error(`there is no step ${name}`)
  const limits = DEFAULT_MAILBOX_LIMITS
  const now = START + step.at * 1000
  const moment: Moment = { now, generation: 'g1', limits, randomId: () => `epoch-${step.at}`, spilled: new Map() }
  const state = before === null ? DeviceState.create('device-1', 'life', now, 'epoch-00000', 'g1') : readDevice(before)
  const was = beforeOf(state)
  age(state, moment)
  step.change(state, moment)
  const stored = state.tail.length - state.added.length
  const bodies = before === null || stored === 0 ? [] : bodiesOf(before).slice(-stored)
  const { chunks } = tailIsLong(state) ? planChunks(state, bodies, now, () => 'chunk') : { chunks: [] }
  const { count, needed } = leavingDedups(state, was.dedupLength, now, limits.dedupWindowSeconds * 1000)
  for (const { at } of needed) {
    state.fields.spilledUntil = Math.max(state.fields.spilledUntil, at + limits.dedupWindowSeconds * 1000)
  }
  return { state, write: deviceWrite(state, was, `op-${step.at}`, limits, { chunks, dedups: count }) }
}
