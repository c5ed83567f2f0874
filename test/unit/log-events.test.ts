import { readFileSync } from 'node:fs'
import t from 'tap'
import { logsPage } from '../../cli/logs-page.js'
import { eventOf, LOG_EVENTS } from '../../core/log-events.js'
import { readRepositoryFile, repositoryFiles } from '../support/repository.js'

const CALL = /\b(?:\w*[lL]og|#log)\.(debug|info|warn|error|fatal)\(/g
/** The words are the last argument: the first text in quotes that a closing bracket follows. */
const WORDS = /'((?:[^'\\\n]|\\.)+)',?\s*\)/

/** Calls that get their words as an argument. */
const DYNAMIC = new Map([
  ['cli/commands/serve.ts', ['an error that nothing caught', 'a rejection that nothing handled']],
])

function linesOfCode(): ReadonlyArray<{ readonly where: string; readonly level: string; readonly text: string }> {
  const sources = repositoryFiles().filter((path) => /^(?:broker|cli|core|courier|push-api)\/.*\.ts$/.test(path))
  return sources.flatMap((path) => {
    const text = readRepositoryFile(path)
    return [...text.matchAll(CALL)].flatMap(({ index, 0: call, 1: level = '' }) => {
      const rest = text.slice(index + call.length, index + 500)
      if (/^\{ \w+ \}, \w+\)/.test(rest)) return []
      return [{ where: path, level, text: WORDS.exec(rest)?.[1] ?? '' }]
    })
  })
}

void t.test('log: every line that the code writes has an event, at the level of the table', async (t) => {
  const lines = linesOfCode()
  t.ok(lines.length > 70, `${lines.length} lines are found`)
  const levels = new Map<string, Set<string>>()
  for (const { where, level, text } of lines) {
    const event = eventOf(text)
    t.not(event, undefined, `${where}: "${text}" is not in core/log-events.ts`)
    if (event !== undefined) levels.set(event, (levels.get(event) ?? new Set()).add(level))
  }
  for (const [event, { level, text }] of Object.entries(LOG_EVENTS)) {
    const dynamic = [...DYNAMIC.values()].some((texts) => texts.includes(text)) || event === 'lines_left_out'
    if (!dynamic) t.ok(levels.get(event)?.has(level), `${event}: no line of code says "${text}" at ${level}`)
  }
})

void t.test('log: events are words that stay, each with words of its own', async (t) => {
  const texts = Object.values(LOG_EVENTS).map(({ text }) => text)
  t.equal(new Set(texts).size, texts.length)
  for (const event of Object.keys(LOG_EVENTS)) t.match(event, /^[a-z]+(?:_[a-z]+)*$/)
})

void t.test('log: the page is what the table says', async (t) => {
  t.equal(readFileSync(new URL('../../docs/logs.md', import.meta.url), 'utf8'), logsPage(), 'run: npm run docs:logs')
})
