import { PassThrough } from 'node:stream'
import * as fc from 'fast-check'
import tap from 'tap'
import { PostriderError } from '../../core/errors.js'
import { AppendQueue, type Ticket } from '../../push-api/overload.js'
import { readText, ReceivingBudget } from '../../push-api/request-body.js'

const LIMITS = { queueMax: 10, queueMaxBytes: 100, queueMaxAgeMs: 50 }

function queueAt(): { queue: AppendQueue; clock: { time: number } } {
  const clock = { time: 0 }
  return { queue: new AppendQueue(LIMITS, { monotonic: () => clock.time }), clock }
}

const overloaded = { code: 'overloaded' }

void tap.test('append queue: bounded by count, by bytes and by age; an empty one takes anything', (t) => {
  const { queue, clock } = queueAt()
  const big = queue.enter(1000, 1_000_000)
  t.throws(() => queue.enter(1, 1), overloaded)
  t.throws(() => queue.check(), overloaded)
  queue.leave(big)
  queue.check()
  const first = queue.enter(5, 50)
  t.throws(() => queue.enter(6, 1), overloaded)
  t.throws(() => queue.enter(1, 51), overloaded)
  const second = queue.enter(5, 50)
  queue.leave(second)
  clock.time = 51
  t.equal(queue.age(), 51)
  t.throws(() => queue.enter(1, 1), overloaded)
  queue.leave(first)
  queue.leave(first)
  t.equal(queue.count, 0)
  t.equal(queue.bytes, 0)
  t.equal(queue.age(), 0)
  t.end()
})

void tap.test('append queue: whatever the order of answers, it counts what is in it and knows the oldest', (t) => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 4000 }), (steps) => {
      const clock = { time: 0 }
      const queue = new AppendQueue(
        { queueMax: 1e9, queueMaxBytes: 1e9, queueMaxAgeMs: 1e9 },
        { monotonic: () => clock.time },
      )
      const inside: Ticket[] = []
      for (const step of steps) {
        clock.time++
        if (step < 16 || inside.length === 0) inside.push(queue.enter(step + 1, step * 3))
        else for (const ticket of inside.splice(step % inside.length, 1)) queue.leave(ticket)
        const oldest = inside.reduce((least, ticket) => Math.min(least, ticket.since), Infinity)
        if (queue.age() !== (inside.length === 0 ? 0 : clock.time - oldest)) return false
      }
      return (
        queue.count === inside.reduce((sum, ticket) => sum + ticket.count, 0) &&
        queue.bytes === inside.reduce((sum, ticket) => sum + ticket.bytes, 0)
      )
    }),
    { numRuns: 100 },
  )
  t.end()
})

interface Reading {
  readonly stream: PassThrough
  readonly budget: ReceivingBudget
  readonly result: Promise<string>
}

function reading(headers: Record<string, string> = {}, budget = new ReceivingBudget(50)): Reading {
  const stream = new PassThrough()
  const result = new Promise<string>((resolve, reject) => {
    readText(stream, headers, { bodyMax: 20, budget }, (error, text) => {
      if (error === null) resolve(text ?? '')
      else reject(error)
    })
  })
  return { stream, budget, result }
}

void tap.test('request body: pieces are put together, also inside a character', async (t) => {
  const { stream, budget, result } = reading()
  const bytes = Buffer.from('aé😀')
  for (const byte of bytes) {
    stream.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(budget.held > 0)
  stream.end()
  t.equal(await result, 'aé😀')
  t.equal(budget.held, 0)
})

void tap.test('request body: over the limit, over the budget, cut off', async (t) => {
  const large = reading()
  large.stream.write(Buffer.alloc(15))
  large.stream.write(Buffer.alloc(15))
  await t.rejects(large.result, { code: 'body_too_large' })
  large.stream.end(Buffer.alloc(1_000_000))
  t.equal(large.budget.held, 0)

  await t.rejects(reading({ 'content-length': '21' }).result, { code: 'body_too_large' })

  const budget = new ReceivingBudget(12)
  const [one, two] = [reading({}, budget), reading({}, budget)]
  const refused = t.rejects(two.result, { code: 'overloaded' })
  for (const { stream } of [one, two]) {
    stream.write(Buffer.alloc(5, 97))
    await new Promise((resolve) => setImmediate(resolve))
    stream.write(Buffer.alloc(5, 97))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await refused
  one.stream.end()
  t.equal(await one.result, 'a'.repeat(10))
  t.equal(budget.held, 0)

  const cut = reading({}, budget)
  cut.stream.write('abc')
  await new Promise((resolve) => setImmediate(resolve))
  cut.stream.destroy()
  await t.rejects(cut.result, PostriderError)
  t.equal(budget.held, 0)
})
