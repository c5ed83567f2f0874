import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { SecretCounters, watchSecrets, type SecretWatch } from '../../cli/secret-watch.js'
import { parseTokenSecrets } from '../../core/security/token-secrets.js'

const FIRST = 'the first secret of more than thirty-two bytes'
const SECOND = 'the second secret of more than thirty-two bytes'

interface Rig {
  readonly path: string
  readonly used: string[]
  readonly counters: SecretCounters
  readonly lines: string[]
  readonly watch: SecretWatch
  readonly write: (text: string) => void
  /** Runs between two looks at a changed file; does nothing at first. */
  meanwhile: () => void
}

async function rig(t: Test): Promise<Rig> {
  const path = join(t.testdir({}), 'token-secret')
  const write = (text: string): void => writeFileSync(path, text, { mode: 0o600 })
  write(`${FIRST}\n`)
  const used: string[] = []
  const lines: string[] = []
  const counters = new SecretCounters()
  const use = (text: string, source: string): void => {
    parseTokenSecrets(text, source)
    used.push(text)
  }
  const between = { meanwhile: (): void => {} }
  const watch = watchSecrets([{ path, text: FIRST, use }], {
    settle: async () => between.meanwhile(),
    log: pino({ level: 'trace' }, { write: (line: string) => lines.push(line) }),
    counters,
    pollMs: 3_600_000,
  })
  t.teardown(() => watch.stop())
  return Object.assign(between, { path, used, counters, lines, watch, write })
}

void t.test('secret watch: a change is in force at the next look, and only a change', async (t) => {
  const { path, used, counters, lines, watch, write } = await rig(t)
  await watch.look()
  t.same(used, [])
  t.same(counters.reloads, { changed: 0, failed: 0 })
  write(`${SECOND},${FIRST}\n`)
  await watch.look()
  await watch.look()
  t.same(used, [`${SECOND},${FIRST}`])
  writeFileSync(`${path}.new`, `${SECOND}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
  await watch.look()
  t.equal(used.at(-1), SECOND)
  t.same(counters.reloads, { changed: 2, failed: 0 })
  t.ok(lines.length >= 2)
  t.notMatch(lines.join(''), /first secret|second secret/)
})

void t.test('secret watch: what cannot be used changes nothing and is told once', async (t) => {
  const { path, used, counters, lines, watch, write } = await rig(t)
  const wrong: ReadonlyArray<readonly [name: string, make: () => void, why: RegExp]> = [
    ['too short', () => write('hush-hush'), /secret 1 has 9 bytes/],
    ['empty', () => write('\n'), /is empty/],
    ['readable by others', () => { write(SECOND); chmodSync(path, 0o644) }, /has mode 644/], // prettier-ignore
    ['gone', () => rmSync(path), /is gone/],
  ]
  for (const [i, [name, make, why]] of wrong.entries()) {
    make()
    await watch.look()
    await watch.look()
    t.equal(counters.reloads.failed, i + 1, name)
    t.match(lines.at(-1), why)
  }
  t.same(used, [])
  t.notMatch(lines.join(''), /hush-hush|second secret/)
  write(FIRST)
  await watch.look()
  t.same(used, [FIRST])
  t.same(counters.reloads, { changed: 1, failed: wrong.length })
})

void t.test('secret watch: a file that is still being written is left alone', async (t) => {
  const held = await rig(t)
  const { used, watch, write } = held
  write(SECOND.slice(0, 40))
  held.meanwhile = () => write(SECOND)
  await watch.look()
  t.same(used, [])
  held.meanwhile = () => {}
  await watch.look()
  t.same(used, [SECOND])
})
