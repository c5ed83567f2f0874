import t from 'tap'
import { AnswerDeadlines } from '../../push-api/answer-deadlines.js'

const monotonic = (): number => performance.now()

t.test('answer deadlines: each waits its own time, in order of arrival', async (t) => {
  const deadlines = new AnswerDeadlines(60, { monotonic })
  const given: Array<{ name: string; after: number }> = []
  const enter = (name: string): Promise<void> => {
    const from = monotonic()
    return new Promise((resolve) => {
      deadlines.enter(() => {
        given.push({ name, after: monotonic() - from })
        resolve()
      })
    })
  }
  const keepAlive = setInterval(() => undefined, 1_000)
  t.teardown(() => clearInterval(keepAlive))
  const first = enter('first')
  await new Promise((resolve) => setTimeout(resolve, 30))
  await Promise.all([first, enter('second'), enter('third')])
  t.strictSame(
    given.map(({ name }) => name),
    ['first', 'second', 'third'],
  )
  for (const { name, after } of given) t.ok(after >= 60, `${name} waited ${after.toFixed(1)} ms`)
  await enter('after a pause')
  t.equal(given.length, 4)
})

t.test('answer deadlines: who has left is not given up, and keeps nobody behind from it', async (t) => {
  const deadlines = new AnswerDeadlines(20, { monotonic })
  const keepAlive = setInterval(() => undefined, 1_000)
  t.teardown(() => clearInterval(keepAlive))
  const gone = deadlines.enter(() => t.fail('has left'))
  const stays = new Promise<void>((resolve) => deadlines.enter(resolve))
  deadlines.leave(gone)
  await stays
})
