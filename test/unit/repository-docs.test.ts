import tap from 'tap'
import { COMMANDS } from '../../cli/main.js'
import { settingName } from '../../core/config/option.js'
import { LATER_SETTINGS } from '../../core/config/server-options.js'
import { readRepositoryFile, repositoryFiles } from '../support/repository.js'

// What the pages tell a reader to type must exist. The decisions (docs/adr) may also speak of what was not chosen.
const pages = repositoryFiles()
  .filter((path) => path.endsWith('.md') && !path.startsWith('docs/adr/') && path !== 'docs/configuration.md')
  .map((path) => ({ path, text: readRepositoryFile(path) }))

/** What stands in code spans and code blocks. */
function codeOf(text: string): string {
  return [...text.matchAll(/```[a-z]*\n([\s\S]*?)```|`([^`\n]+)`|^ {4}(.+)$/gm)]
    .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
    .join('\n')
}

/** Lines that run our own command or name its flags alone: `postrider …`, `--flag`, `--flag value`. */
const ownCode = pages.flatMap(({ path, text }) =>
  codeOf(text)
    .split('\n')
    .filter((line) => /^(?:npx )?postrider |^--[a-z]/.test(line))
    .map((line) => ({ path, line })),
)

await tap.test('docs: every flag of the command that a page names exists', async (t) => {
  const flags = new Set(['--help', '--version', ...Object.keys(LATER_SETTINGS).map((name) => `--${name}`)])
  for (const { options } of COMMANDS) for (const key of Object.keys(options)) flags.add(`--${settingName(key)}`)
  const named = ownCode.flatMap(({ path, line }) =>
    (line.match(/(?<!\S)--[a-z][a-z-]*/g) ?? []).map((flag) => ({ path, flag })),
  )
  t.ok(named.length > 10, 'there are flags to look at')
  t.same(
    named.filter(({ flag }) => !flags.has(flag)),
    [],
  )
})

await tap.test('docs: every command that a page names exists, or is said not to be there yet', async (t) => {
  const commands = new Set(COMMANDS.map(({ name }) => name))
  const wrong = ownCode.filter(({ path, line }) => {
    const name = /^(?:npx )?postrider ([a-z]+)/.exec(line)?.[1]
    if (name === undefined || commands.has(name)) return false
    const page = pages.find((each) => each.path === path)?.text ?? ''
    return !page.split('\n').some((text) => text.includes(`postrider ${name}`) && text.includes('not there yet'))
  })
  t.same(wrong, [])
})

await tap.test('docs: every npm script that a page names exists', async (t) => {
  const manifest = readRepositoryFile('package.json')
  const scripts = pages.flatMap(({ path, text }) =>
    [...codeOf(text).matchAll(/npm run ([a-z:-]+)/g)].map((match) => ({ path, script: match[1] ?? '' })),
  )
  t.ok(scripts.length > 0, 'there are scripts to look at')
  t.same(
    scripts.filter(({ script }) => !manifest.includes(`"${script}": `)),
    [],
  )
})
