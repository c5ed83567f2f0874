import t, { type Test } from 'tap'
import { History, type Fault, type FleetEvent } from '../support/faults/history.js'
import { judge, PROBLEMS, type Verdict } from '../support/faults/judge.js'

/** A history in which everything happens at the second that is given. */
class Story {
  readonly history = new History((port) => `broker-${port}`)

  constructor() {
    this.history.device('plain', 'plain')
    this.history.device('sdk', 'sdk')
  }

  accept(device: string, from: number, to: number, { epoch = 'e1', seq = from, at = 1 } = {}): this {
    for (let number = from; number <= to; number++)
      this.history.accepted(device, number, { seq: seq + number - from, epoch, at: at * 1_000 })
    return this
  }

  connect(connection: number, at: number, node = 1): this {
    return this.#take({ is: 'connected', device: 'plain', connection, localPort: node, at })
  }

  end(connection: number, at: number): this {
    return this.#take({ is: 'ended', device: 'plain', connection, at })
  }

  arrive(connection: number, at: number, numbers: readonly number[], seqs = numbers, dup = false): this {
    for (const [i, number] of numbers.entries())
      this.#take({ is: 'arrived', device: 'plain', connection, number, seq: seqs[i] ?? 0, dup, sentAt: 0, at })
    return this
  }

  ack(connection: number, at: number, numbers: readonly number[]): this {
    for (const number of numbers) this.#take({ is: 'acked', device: 'plain', connection, number, at })
    return this
  }

  handle(at: number, numbers: readonly number[], { epoch = 'e1', shift = 0 } = {}): this {
    for (const number of numbers)
      this.#take({ is: 'handled', device: 'sdk', number, epoch, seq: number + shift, sentAt: 0, at })
    return this
  }

  reset(at: number): this {
    return this.#take({ is: 'reset', device: 'sdk', at })
  }

  fault(from: number, to: number, more: Partial<Fault> = {}): this {
    this.history.fault({ from: from * 1_000, to: to * 1_000, node: null, ...more })
    return this
  }

  #take(event: FleetEvent): this {
    this.history.take({ ...event, at: event.at * 1_000 })
    return this
  }
}

/** Nothing is wrong but what is named, so many times. */
function finds(t: Test, story: Story, expected: Partial<Record<(typeof PROBLEMS)[number], number>>): Verdict {
  const verdict = judge(story.history)
  const found = Object.fromEntries(PROBLEMS.map((kind) => [kind, verdict[kind].length]))
  t.same(found, { ...Object.fromEntries(PROBLEMS.map((kind) => [kind, 0])), ...expected }, JSON.stringify(verdict))
  return verdict
}

const good = (): Story => new Story().accept('plain', 1, 3).connect(1, 1).arrive(1, 2, [1, 2, 3]).ack(1, 2, [1, 2, 3])
const goodSdk = (): Story => new Story().accept('sdk', 1, 3).handle(2, [1, 2, 3])

t.test('faults judge: what went well', async (t) => {
  const verdict = finds(t, good().accept('sdk', 1, 2).handle(2, [1, 2]), {})
  t.match(verdict, { accepted: 5, delivered: 5, repeats: 0, lostTail: 0 })
})

t.test('faults judge: lost', async (t) => {
  const verdict = finds(t, good().accept('plain', 4, 4).accept('sdk', 1, 1), { lost: 2 })
  t.match(verdict, { accepted: 5, delivered: 3 })
})

t.test('faults judge: reordered', async (t) => {
  finds(t, goodSdk().accept('sdk', 4, 5).handle(3, [5, 4]), { reordered: 1 })
  finds(t, good().accept('plain', 4, 5).arrive(1, 3, [5, 4]), { reordered: 1 })
  const late = good().accept('plain', 4, 5).arrive(1, 3, [5]).end(1, 3).connect(2, 4).arrive(2, 4, [4])
  finds(t, late, { reordered: 1 })
})

t.test('faults judge: a handler that runs again', async (t) => {
  finds(t, goodSdk().handle(3, [3]), { handledAgain: 1 })
  // No fault excuses it.
  finds(t, goodSdk().fault(1, 3).handle(3, [3]), { handledAgain: 1 })
})

t.test('faults judge: what a plain device may get again', async (t) => {
  const again = (story: Story, connectAt: number): Story =>
    story
      .end(1, connectAt - 0.3)
      .connect(2, connectAt, 2)
      .arrive(2, connectAt, [3], [3], true)
  finds(t, again(good(), 10), { repeated: 1 })
  t.match(finds(t, again(good().fault(2.4, 2.4), 10), {}), { repeats: 1, unmarked: 0 }, 'acknowledged 400 ms before')
  const slow = { graceMs: 900 }
  t.match(finds(t, again(good().fault(2.8, 2.8, slow), 10), {}), { repeats: 1 }, '800 ms before, with a slow store')
  finds(t, again(good().fault(2.6, 2.6), 10), { repeated: 1 })
  t.match(finds(t, again(good().fault(2.4, 2.4, { node: 'broker-1' }), 10), {}), { repeats: 1 })
  finds(t, again(good().fault(2.4, 2.4, { node: 'broker-2' }), 10), { repeated: 1 })
  t.match(finds(t, again(good().fault(1, 5), 10), {}), { repeats: 1 }, 'while it was broken')
  t.match(finds(t, again(good(), 2.4), {}), { repeats: 1 }, 'at the end of its connection')
  const never = new Story().accept('plain', 1, 1).connect(1, 1).arrive(1, 2, [1])
  t.match(finds(t, never.end(1, 3).connect(2, 4).arrive(2, 4, [1]), {}), { repeats: 1, unmarked: 1 })
  finds(t, good().arrive(1, 3, [3]), { repeated: 1 })
})

t.test('faults judge: wrong places', async (t) => {
  finds(t, good().accept('plain', 4, 4).arrive(1, 3, [4], [9]), { wrong: 1 })
  finds(t, good().arrive(1, 3, [4]), { wrong: 1 })
  finds(t, good().accept('plain', 4, 4, { seq: 3 }).arrive(1, 3, [4], [3]), { wrong: 1, repeated: 0 })
  finds(t, good().accept('plain', 3, 3, { seq: 7 }), { wrong: 1 })
  finds(t, goodSdk().accept('sdk', 4, 4).handle(3, [4], { shift: 1 }), { wrong: 1 })
  const story = good()
  story.history.take({ is: 'trouble', device: 'sdk', what: 'a gap', at: 1 })
  finds(t, story, { wrong: 1 })
})

t.test('faults judge: a master that takes a tail with it', async (t) => {
  // 3 was lost, and 4 got its place in another epoch.
  const tail = (): Story =>
    new Story()
      .accept('sdk', 1, 3)
      .accept('sdk', 4, 4, { epoch: 'e2', seq: 3, at: 9 })
      .handle(2, [1, 2])
      .handle(9, [4], { epoch: 'e2', shift: -1 })
  finds(t, tail(), { lost: 1 })
  t.match(finds(t, tail().fault(0.5, 5, { losesTail: true }), {}), { lostTail: 1, delivered: 3 })
  finds(t, tail().fault(2, 5, { losesTail: true }), { lost: 1 })
  // What nobody may lose: it was accepted in the epoch that goes on.
  const after = tail().accept('sdk', 5, 5, { epoch: 'e2', seq: 4, at: 9 })
  finds(t, after.fault(0.5, 20, { losesTail: true }), { lost: 1 })
  // One that has handled what is lost must be told so.
  const seen = (): Story =>
    new Story()
      .fault(0.5, 5, { losesTail: true })
      .accept('sdk', 1, 3)
      .accept('sdk', 4, 4, { epoch: 'e2', seq: 3, at: 9 })
      .handle(2, [1, 2, 3])
  finds(t, seen().handle(9, [4], { epoch: 'e2', shift: -1 }), { untold: 1 })
  finds(t, seen().reset(8).handle(9, [4], { epoch: 'e2', shift: -1 }), {})
  // Seen, lost before its producer knew, and accepted anew elsewhere.
  const ghost = (): Story =>
    new Story()
      .accept('plain', 1, 1)
      .accept('plain', 2, 2, { epoch: 'e2', seq: 2, at: 9 })
      .connect(1, 1)
      .arrive(1, 2, [1, 2], [1, 5])
      .ack(1, 2, [1, 2])
      .end(1, 4)
      .connect(2, 8)
      .arrive(2, 9, [2], [2])
  finds(t, ghost().fault(0.5, 5, { losesTail: true }), {})
  t.ok(judge(ghost().history).wrong.length > 0)
})

t.test('faults judge: two connections of a device', async (t) => {
  const both = (until: number): Story => new Story().connect(1, 1).connect(2, 2).end(1, until)
  finds(t, both(3.5), {})
  finds(t, both(8), { overlaps: 1 })
  finds(t, both(8).fault(1, 5), {})
})
