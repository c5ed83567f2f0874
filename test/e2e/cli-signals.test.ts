import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { SAME_WISH_MS } from '../../cli/stop-signals.js'
import { Child } from '../support/child.js'

/** A process that says when it is asked to stop, and does not; it has `process.argv[2]` things to shorten. */
const SCRIPT = `
  const { listenForStop } = await import(process.argv[1])
  let shorten = Number(process.argv[2])
  listenForStop({ monotonic: () => performance.now() }, (signal) => console.log('asked by ' + signal), (signal) => {
    console.log('again by ' + signal)
    return shorten-- > 0
  })
  setInterval(() => {}, 1000)
  console.log('up')
`
const SUBJECT = new URL('../../cli/dist/cli/stop-signals.js', import.meta.url).href

async function stubborn(t: Test, shorten = 0): Promise<Child> {
  const cwd = fileURLToPath(new URL('../..', import.meta.url))
  const child = new Child(t, process.execPath, ['--input-type=module', '-e', SCRIPT, SUBJECT, String(shorten)], { cwd })
  await child.until('it is up', ({ stdout }) => stdout.includes('up'))
  return child
}

void t.test('signals: the first asks, a later one ends at once with the code of the shell', async (t) => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const child = await stubborn(t)
    child.signal(signal)
    await child.until('it was asked', ({ stdout }) => stdout.includes(`asked by ${signal}`))
    await delay(SAME_WISH_MS + 100) // time is the subject: what comes sooner is the same wish
    t.same(await child.kill(signal), { code, signal: null })
  }
})

void t.test('signals: one Ctrl-C that arrives twice is one wish', async (t) => {
  const child = await stubborn(t)
  child.signal('SIGINT')
  child.signal('SIGTERM')
  await child.until('it was asked', ({ stdout }) => stdout.includes('asked by'))
  await delay(200) // it would have ended by now
  t.equal(child.status, null)
  t.equal(child.stdout.match(/asked by/g)?.length, 1)
})

void t.test('signals: a second one shortens what can be shortened, and a third ends', async (t) => {
  const child = await stubborn(t, 1)
  child.signal('SIGTERM')
  await child.until('it was asked', ({ stdout }) => stdout.includes('asked by'))
  await delay(SAME_WISH_MS + 100)
  child.signal('SIGINT')
  await child.until('it was asked again', ({ stdout }) => stdout.includes('again by SIGINT'))
  await delay(200) // it would have ended by now, and this one is the same wish as the second
  child.signal('SIGTERM')
  await delay(SAME_WISH_MS + 100)
  t.equal(child.status, null)
  t.same(await child.kill('SIGTERM'), { code: 143, signal: null })
})
