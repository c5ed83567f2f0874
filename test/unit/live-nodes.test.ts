import t from 'tap'
import { LiveNodes } from '../../core/live-nodes.js'
import { FakeClock } from '../support/fake-clock.js'

/** A bus that answers with `alive`; null: it cannot; undefined: never. */
function rig(alive: readonly string[] | null | undefined) {
  const state = { alive, asked: 0 }
  const clock = new FakeClock()
  const bus = {
    nodes(): Promise<readonly string[]> {
      state.asked++
      if (state.alive === undefined) return new Promise(() => {})
      return state.alive === null ? Promise.reject(new Error('no bus')) : Promise.resolve(state.alive)
    },
  }
  return { state, clock, nodes: new LiveNodes(bus, clock) }
}

void t.test('live nodes: a node that the bus does not know is gone; the bus is asked ten times a second', async (t) => {
  const { state, clock, nodes } = rig(['a', 'b'])
  const many = await Promise.all(Array.from({ length: 100 }, () => nodes.look()))
  for (const isGone of many) t.same(['a', 'b', 'c'].map(isGone), [false, false, true])
  t.equal(state.asked, 1)
  state.alive = ['b', 'c']
  clock.advance(99)
  t.same(['a', 'c'].map(await nodes.look()), [false, true], 'not asked again yet')
  clock.advance(1)
  t.same(['a', 'b', 'c'].map(await nodes.look()), [true, false, false])
  t.equal(state.asked, 2)
})

void t.test('live nodes: while the bus does not answer nobody is called gone, and nobody waits for long', async (t) => {
  const { state, clock, nodes } = rig(['a'])
  t.equal((await nodes.look())('b'), true)
  state.alive = null
  clock.advance(1_000)
  t.equal((await nodes.look())('b'), false, 'what it said before is not believed for ever')
  t.equal((await nodes.look())('b'), false)
  t.equal(state.asked, 2, 'and a bus in trouble is not asked for each device')
  state.alive = undefined
  clock.advance(1_000)
  const from = performance.now()
  t.equal((await nodes.look())('b'), false)
  t.ok(performance.now() - from < 5_000)
  clock.advance(60_000)
  t.equal((await nodes.look())('b'), false)
  t.equal(state.asked, 3, 'one question at a time')
})
