// Which processes are taken for dead on MongoDB, and when somebody looks at a device that nobody uses.

import t from 'tap'
import { DEFAULT_MAILBOX_LIMITS } from '../../core/ports/mailbox.js'
import { DeviceState } from '../../core/stores/mongodb/device-state.js'
import { dueAfter, dueTime } from '../../core/stores/mongodb/due.js'
import { newSign, nextSign, readSign } from '../../core/stores/mongodb/node-document.js'
import { NodeWatch, type ProcessSign } from '../../core/stores/mongodb/node-watch.js'
import { append, claim, type Moment, prepare } from '../../core/stores/mongodb/transitions.js'
import { message } from '../conformance/messages.js'

const LEASE_MS = 20_000
const LOOK_MS = 2_000

/** Processes of one node each; those that live say so before each look. */
function rig(...processes: readonly string[]) {
  const signs = new Map(processes.map((process): [string, ProcessSign] => [process, signOf(process, '0')]))
  const watch = new NodeWatch(LEASE_MS)
  const state = { now: 1_000_000, said: 0 }
  return {
    state,
    signs,
    watch,
    look: (...living: readonly string[]): void => {
      state.said++
      for (const process of living) signs.set(process, { ...signOf(process, `${state.said}`) })
      watch.look([...signs.values()], state.now)
    },
    /** Looks every 2 s for so long. */
    pass(ms: number, ...living: readonly string[]): void {
      for (const end = state.now + ms; state.now < end;) {
        state.now += LOOK_MS
        this.look(...living)
      }
    },
  }
}

const signOf = (process: string, sign: string): ProcessSign => ({
  process,
  nodes: [`node of ${process}`],
  sign,
  left: false,
})

const deadOf = ({ watch }: { readonly watch: NodeWatch }): readonly string[] => watch.dead.map(({ process }) => process)

t.test('mongodb claims: a process that gives no sign for a whole lease is dead', async (t) => {
  const stage = rig('a', 'b', 'c')
  stage.look('a', 'b', 'c')
  stage.pass(LEASE_MS - LOOK_MS, 'b', 'c')
  t.strictSame(deadOf(stage), [], 'not before')
  stage.pass(LOOK_MS, 'b', 'c')
  t.strictSame(deadOf(stage), ['a'])
  t.ok(stage.watch.isDeadNode('node of a'))
  t.notOk(stage.watch.isDeadNode('node of b'))
  stage.pass(LOOK_MS, 'a', 'b', 'c')
  t.strictSame(deadOf(stage), [], 'it was frozen only')
  t.notOk(stage.watch.isDeadNode('node of a'))
})

t.test('mongodb claims: whoever looks again after a break waits for a whole lease', async (t) => {
  const stage = rig('a', 'b')
  stage.look('a', 'b')
  stage.pass(LEASE_MS - LOOK_MS, 'b')
  // The store is away, or this process frozen.
  stage.state.now += LEASE_MS / 2 + 1
  t.notOk(stage.watch.isFresh(stage.state.now))
  stage.look('b')
  t.strictSame(deadOf(stage), [])
  stage.pass(LEASE_MS - LOOK_MS, 'b')
  t.strictSame(deadOf(stage), [])
  stage.pass(LOOK_MS, 'b')
  t.strictSame(deadOf(stage), ['a'])
})

t.test('mongodb claims: one process looks after the dead, and another one takes its place', async (t) => {
  const stage = rig('a', 'b', 'c')
  stage.look('a', 'b', 'c')
  t.equal(stage.watch.caretaker, 'a')
  stage.pass(LOOK_MS, 'b', 'c')
  t.equal(stage.watch.caretaker, 'a')
  stage.pass(4_000, 'b', 'c')
  t.equal(stage.watch.caretaker, 'b', 'before the lease of the first one is over')
  stage.pass(LOOK_MS, 'a', 'b', 'c')
  t.equal(stage.watch.caretaker, 'a')
})

t.test('mongodb claims: who has left is dead at once, and a node that another process has lives', async (t) => {
  const stage = rig('a', 'b', 'c')
  stage.look('a', 'b', 'c')
  stage.signs.set('a', { ...signOf('a', '1'), left: true, nodes: ['node of a', 'node of b'] })
  stage.look('b', 'c')
  t.strictSame(deadOf(stage), ['a'])
  t.ok(stage.watch.isDeadNode('node of a'))
  t.notOk(stage.watch.isDeadNode('node of b'))
  stage.signs.delete('a')
  stage.look('b', 'c')
  t.strictSame(deadOf(stage), [])
})

t.test('mongodb claims: a sign of life, as it stands in the store', async (t) => {
  t.strictSame(readSign(newSign('p', ['n'], 's')), { process: 'p', nodes: ['n'], sign: 's', left: false })
  t.strictSame(readSign({ ...newSign('p', [], 's'), left: true, later: 1 }).left, true)
  t.strictSame(nextSign(['n'], 's2'), { $set: { sign: 's2' }, $addToSet: { nodes: { $each: ['n'] } } })
  t.throws(() => readSign({ ...newSign('p', [], 's'), f: 3 }), RangeError)
  t.throws(() => readSign({ _id: 'p', f: 1 }), TypeError)
})

const limits = { ...DEFAULT_MAILBOX_LIMITS, retentionSeconds: 1_000 }
const START = Date.UTC(2030, 0, 1)

const at = (seconds: number): Moment => ({
  now: START + seconds * 1000,
  generation: 'g',
  limits,
  randomId: () => 'e',
  spilled: new Map(),
})

t.test('mongodb due: the first message that expires, or is given up', async (t) => {
  const state = DeviceState.create('d', 'life', START, 'e', 'g')
  t.equal(dueTime(state, limits), 0, 'nothing waits')
  append(state, prepare(message('d')), at(5))
  t.equal(dueTime(state, limits), START + 1_005_000, 'the retention')
  append(state, prepare(message('d', { ttl: 60 })), at(6))
  t.equal(dueTime(state, limits), START + 66_000)
  claim(state, { node: 'n', claimId: 'c' }, false, at(7))
  t.equal(dueTime(state, limits), 0, 'its node looks')
  state.endClaim(at(8).now)
  t.equal(dueTime(state, limits), START + 66_000)
})

t.test('mongodb due: a note that is early enough stays', async (t) => {
  const state = DeviceState.create('d', 'life', START, 'e', 'g')
  append(state, prepare(message('d', { ttl: 60 })), at(0))
  t.equal(dueAfter(state, limits), START + 60_000, 'there was none')
  state.notes.due = START + 20_000
  t.equal(dueAfter(state, limits), START + 20_000)
  append(state, prepare(message('d', { ttl: 2 })), at(1))
  t.equal(dueAfter(state, limits), START + 3_000, 'it would come too late')
  claim(state, { node: 'n', claimId: 'c' }, false, at(2))
  t.equal(dueAfter(state, limits), START + 20_000, 'connections leave it alone')
})
