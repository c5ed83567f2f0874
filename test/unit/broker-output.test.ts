import { assert, array, integer, property, tuple, boolean } from 'fast-check'
import t from 'tap'
import { LOW_WATER_BYTES, Output, PIECE_BYTES, TurnFlusher } from '../../broker/output.js'
import type { Wire } from '../../broker/wire.js'

/** A wire that takes one piece at a time: after each it is full until `relieve`. */
class NarrowWire implements Wire {
  readonly peer = { address: '127.0.0.1', port: 1, certificate: null }
  readonly pieces: Buffer[] = []
  buffered = 0
  full = false
  readonly narrow: boolean

  constructor(narrow: boolean) {
    this.narrow = narrow
  }
  write(bytes: Buffer): boolean {
    if (this.full) throw new Error('written to although full')
    this.pieces.push(Buffer.from(bytes))
    this.full = this.narrow
    if (this.full) this.buffered = bytes.length
    return !this.full
  }
  relieve(): void {
    this.full = false
    this.buffered = 0
  }
  attach(): void {}
  pause(): void {}
  resume(): void {}
  finish(): void {}
  destroy(): void {}
}

const OWNER = { outputEmptied() {} }

/** Until what was written has left: the end of the next turn. */
const turn = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve))))

void t.test('output: what is written in one turn leaves as one piece', async (t) => {
  const wire = new NarrowWire(false)
  const output = new Output(wire, new TurnFlusher(), OWNER)
  for (let i = 0; i < 64; i++) output.write(Buffer.alloc(100, i))
  t.equal(output.buffered, 6_400)
  t.equal(wire.pieces.length, 0)
  await turn()
  t.same(
    wire.pieces.map((piece) => piece.length),
    [6_400],
  )
  t.equal(output.buffered, 0)
})

void t.test('output: any writes come out byte for byte, in pieces of the allowed size', async () => {
  const write = tuple(integer({ min: 0, max: 3 * PIECE_BYTES }), boolean())
  assert(
    property(array(write, { maxLength: 30 }), boolean(), (writes, narrow) => {
      const wire = new NarrowWire(narrow)
      const output = new Output(wire, new TurnFlusher(), OWNER)
      const written: Buffer[] = []
      for (const [size, flush] of writes) {
        const bytes = Buffer.alloc(size, written.length + 1)
        written.push(bytes)
        output.write(bytes)
        if (flush) output.flush()
      }
      output.flush()
      while (wire.full) {
        wire.relieve()
        output.writable()
      }
      return (
        Buffer.concat(wire.pieces).equals(Buffer.concat(written)) &&
        wire.pieces.every((piece) => piece.length <= PIECE_BYTES) &&
        output.buffered === 0
      )
    }),
    { numRuns: 100 },
  )
})

void t.test('output: counts what neither it nor the wire has got rid of, and forgets it at the end', async (t) => {
  const wire = new NarrowWire(true)
  const output = new Output(wire, new TurnFlusher(), OWNER)
  output.write(Buffer.alloc(3 * PIECE_BYTES))
  await turn()
  t.equal(wire.pieces.length, 1)
  t.equal(output.buffered, 3 * PIECE_BYTES)
  output.finish()
  t.equal(output.buffered, PIECE_BYTES, 'the rest was dropped')
  output.write(Buffer.alloc(10))
  wire.relieve()
  output.writable()
  await turn()
  t.equal(wire.pieces.length, 1)
})

void t.test('output: tells when it is empty after it held much, or after the wire was full', async (t) => {
  let told = 0
  const owner = { outputEmptied: (): number => ++told }
  const wide = new Output(new NarrowWire(false), new TurnFlusher(), owner)
  wide.write(Buffer.alloc(LOW_WATER_BYTES - 1))
  await turn()
  t.equal(told, 0)
  wide.write(Buffer.alloc(LOW_WATER_BYTES - 1))
  wide.write(Buffer.alloc(1))
  await turn()
  t.equal(told, 1)
  const wire = new NarrowWire(true)
  const narrow = new Output(wire, new TurnFlusher(), owner)
  narrow.write(Buffer.alloc(10))
  await turn()
  t.equal(told, 1)
  wire.relieve()
  narrow.writable()
  t.equal(told, 2)
})

void t.test('output: who writes late is asked at the end of the turn, once, behind what is there', async (t) => {
  const wire = new NarrowWire(false)
  const output = new Output(wire, new TurnFlusher(), OWNER)
  let asked = 0
  const late = {
    writeLate() {
      output.write(Buffer.from(`late ${++asked}`))
    },
  }
  output.later(late)
  output.write(Buffer.from('first '))
  t.equal(asked, 0)
  await turn()
  t.same(wire.pieces.map(String), ['first late 1'])
  await turn()
  t.equal(asked, 1)
})

void t.test('output: while the wire is full nobody is asked, and then what came together goes', async (t) => {
  const wire = new NarrowWire(true)
  const output = new Output(wire, new TurnFlusher(), OWNER)
  let asked = 0
  const late = {
    writeLate() {
      output.write(Buffer.from(`late ${++asked}`))
    },
  }
  output.write(Buffer.from('a'))
  await turn()
  output.later(late)
  await turn()
  t.equal(asked, 0)
  wire.relieve()
  output.writable()
  t.same(wire.pieces.map(String), ['a', 'late 1'])
})

void t.test(
  'output: at the end who writes late is asked for the last time, and may be the one who ends it',
  async (t) => {
    const wire = new NarrowWire(false)
    const output = new Output(wire, new TurnFlusher(), OWNER)
    output.later({ writeLate: () => output.write(Buffer.from('late')) })
    output.finish()
    t.same(wire.pieces.map(String), ['late'])
    const ending = new Output(wire, new TurnFlusher(), OWNER)
    ending.later({
      writeLate() {
        ending.write(Buffer.from(' bye'))
        ending.finish()
      },
    })
    await turn()
    t.same(wire.pieces.map(String), ['late', ' bye'])
    ending.later({ writeLate: () => t.fail('it is over') })
    await turn()
  },
)
