import t from 'tap'
import { isClean, RoadLedger, type ConnectionNotes } from '../support/road/ledger.js'

/** A ledger of one device whose clock is set by hand, with messages 1..count accepted at seqs 1..count. */
class Story {
  now = 0
  readonly ledger = new RoadLedger({ now: () => this.now })

  constructor(count: number) {
    for (let n = 1; n <= count; n++) this.ledger.accepted('d', n, { seq: n, epoch: 'e' })
  }

  /** A connection that sees these numbers and acknowledges those. */
  connection(seen: readonly number[], acked: readonly number[] = seen): ConnectionNotes {
    this.now += 10
    const notes = this.ledger.connected('d')
    for (const number of seen) notes.arrived(number, number, false)
    for (const number of acked) notes.acked(number)
    return notes
  }
}

void t.test('road ledger: what arrived once and in order is clean', async (t) => {
  const story = new Story(5)
  story.connection([1, 2, 3])
  story.connection([4, 5])
  const verdict = story.ledger.verdict()
  t.ok(isClean(verdict))
  t.match(verdict, { accepted: 5, delivered: 5, repeats: 0 })
  t.same(story.ledger.progress, { accepted: 5, arrived: 5 })
})

void t.test('road ledger: a loss is found, at the end and in the middle', async (t) => {
  const story = new Story(4)
  story.connection([1, 3])
  t.same(story.ledger.verdict().lost, ['d 2: seq 2', 'd 4: seq 4'])
  t.notOk(isClean(story.ledger.verdict()))
})

void t.test('road ledger: a repetition is found, on one connection and of what was acknowledged', async (t) => {
  const twice = new Story(2)
  twice.connection([1, 2, 2])
  t.equal(twice.ledger.verdict().repeated.length, 1)

  const again = new Story(2)
  again.connection([1, 2])
  again.connection([1, 2])
  t.equal(again.ledger.verdict().repeated.length, 2)
  t.equal(again.ledger.verdict().lost.length, 0)
})

void t.test('road ledger: what was not acknowledged may come again', async (t) => {
  const story = new Story(3)
  story.connection([1, 2, 3], [1])
  const notes = story.connection([2])
  notes.arrived(3, 3, true)
  const verdict = story.ledger.verdict()
  t.ok(isClean(verdict))
  t.match(verdict, { repeats: 2, unmarked: 1 })
})

void t.test(
  'road ledger: what was acknowledged may come again only if a cut followed within the grace time',
  async (t) => {
    const cutAfter = (ms: number): Story => {
      const story = new Story(1)
      story.connection([1])
      story.now += ms
      return story
    }
    const soon = cutAfter(499)
    soon.ledger.cut()
    soon.connection([1])
    t.ok(isClean(soon.ledger.verdict()))

    const late = cutAfter(500)
    late.ledger.cut()
    late.connection([1])
    t.equal(late.ledger.verdict().repeated.length, 1)

    const other = cutAfter(1)
    other.ledger.cut('another device')
    other.connection([1])
    t.equal(other.ledger.verdict().repeated.length, 1, 'a cut of another device is no excuse')

    const own = cutAfter(1)
    own.ledger.cut('d')
    own.connection([1])
    t.ok(isClean(own.ledger.verdict()))
  },
)

void t.test('road ledger: each acknowledgement needs a cut of its own connection', async (t) => {
  const story = new Story(1)
  story.connection([1])
  story.ledger.cut()
  story.connection([1])
  t.ok(isClean(story.ledger.verdict()))
  story.now += 10_000
  story.ledger.cut()
  story.connection([1])
  t.equal(story.ledger.verdict().repeated.length, 1, 'the second one was made long before the second cut')

  const after = new Story(1)
  after.ledger.cut()
  after.connection([1])
  after.connection([1])
  t.equal(after.ledger.verdict().repeated.length, 1, 'the cut was before the connection')
})

void t.test('road ledger: a wrong order is found, on one connection and across two', async (t) => {
  const one = new Story(3)
  one.connection([1, 3, 2])
  t.equal(one.ledger.verdict().reordered.length, 1)

  const two = new Story(3)
  two.connection([1, 3], [])
  two.connection([2, 3])
  t.same(two.ledger.verdict().reordered, ['d 2 on connection 2: seq 2 for the first time after 3'])

  const back = new Story(2)
  back.connection([1, 2], [])
  back.connection([2, 1])
  t.equal(back.ledger.verdict().reordered.length, 1, 'repeats have an order too')
})

void t.test('road ledger: a message that was not accepted, or not there, is found', async (t) => {
  const foreign = new Story(1)
  foreign.connection([1, 2])
  t.equal(foreign.ledger.verdict().wrong.length, 1)

  const moved = new Story(2)
  moved.ledger.connected('d').arrived(1, 2, false)
  t.equal(moved.ledger.verdict().wrong.length, 1)

  const collision = new Story(1)
  collision.ledger.accepted('d', 2, { seq: 1, epoch: 'e' })
  collision.connection([1])
  t.equal(collision.ledger.verdict().wrong.length, 1)
  t.throws(() => collision.ledger.accepted('d', 1, { seq: 7, epoch: 'e' }), /accepted at 1, and again at 7/)
})
