import { readFileSync } from 'node:fs'
import t from 'tap'
import { configurationPage } from '../../cli/configuration-page.js'
import { COMMANDS } from '../../cli/main.js'
import { commandHelp, mainHelp } from '../../cli/help.js'
import { settingName } from '../../core/config/option.js'

void t.test('configuration page: is what the tables say', async (t) => {
  const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')
  t.equal(page, configurationPage(COMMANDS), 'run: node --import=tsx cli/write-configuration-page.ts')
})

void t.test('configuration: every default is a value that its own type reads back', async (t) => {
  for (const command of COMMANDS) {
    for (const [key, { type, default: preset }] of Object.entries(command.options)) {
      if (preset === undefined) continue
      t.same(type.parse(type.format(preset)), preset, `${command.name} --${settingName(key)}`)
    }
  }
})

void t.test('help: names every command, and each command every flag', async (t) => {
  const main = mainHelp(COMMANDS, '1.2.3')
  for (const command of COMMANDS) {
    t.match(main, `  ${command.name}`)
    const help = commandHelp(command)
    t.match(help, `postrider ${command.name}`)
    for (const key of Object.keys(command.options)) t.match(help, `--${settingName(key)}`)
    for (const line of help.split('\n')) t.ok(line.length <= 120 || !line.includes(' ', 100), line)
  }
})
