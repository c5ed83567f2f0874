// docs/configuration.md, made from the tables of settings. `node --import=tsx cli/write-configuration-page.ts` writes it; a
// test fails while the page and the tables differ.

import { environmentName, settingName, type OptionTable } from '../core/config/option.js'
import { SECRET_SETTINGS } from '../core/config/secret-settings.js'
import { EXIT } from '../core/exit-codes.js'
import type { Command } from './command.js'
import { cell, code, table } from './markdown.js'

function presetOf({ type, default: preset }: OptionTable[string]): string {
  return preset === undefined || type.placeholder === '' ? '' : type.format(preset)
}

function serverTable(options: OptionTable): string {
  return table(
    ['flag', 'default', 'what it is', 'it must be'],
    Object.entries(options).map(([key, spec]) => [
      code(`--${settingName(key)}`),
      code(presetOf(spec)),
      cell(spec.doc),
      cell(spec.type.expected),
    ]),
  )
}

function clientTable(options: OptionTable): string {
  return table(
    ['flag', 'default', 'what it is'],
    Object.entries(options).map(([key, spec]) => [
      code(`--${settingName(key)}${spec.type.placeholder === '' ? '' : ` ${spec.type.placeholder}`}`),
      code(presetOf(spec)),
      cell(spec.doc),
    ]),
  )
}

function clientSection(command: Command): string {
  return [
    `### postrider ${command.name}`,
    '',
    code(`postrider ${command.name} ${command.usage}`).replaceAll('\\|', '|'),
    '',
    `${command.summary[0]?.toUpperCase() ?? ''}${command.summary.slice(1)}. ${command.details.join(' ')}`,
    '',
    clientTable(command.options),
  ].join('\n')
}

export function configurationPage(commands: readonly Command[]): string {
  const server = commands.find(({ name }) => name === 'serve')
  const clients = commands.filter((command) => command !== server)
  return `${[
    '# Configuration',
    '',
    '<!-- Made from the tables in core/config and cli: node --import=tsx cli/write-configuration-page.ts -->',
    '',
    '## postrider serve',
    '',
    'Each setting is a flag, a variable and a key in a YAML file: `--inbox-max 500`, `POSTRIDER_INBOX_MAX=500`, `inbox-max: 500`. Flags win over the environment, that wins over the file (`--config`), and that over the default. A value that cannot be, a combination that cannot be and a name that does not exist stop the start, with the place and what would be right. A variable that is set but empty counts as not set.',
    '',
    'Sizes have a binary unit (`B`, `KiB`, `MiB`, `GiB`) or are bytes; durations have a unit (`ms`, `s`, `m`, `h`, `d`).',
    '',
    server === undefined ? '' : serverTable(server.options),
    '',
    '### Secrets',
    '',
    'From the environment alone, never from a flag or the configuration file. The files in the data folder must have mode 0600; the first start makes those that are missing, and never prints what is in them.',
    '',
    table(
      ['variable', 'what it is'],
      SECRET_SETTINGS.map(({ setting, doc }) => [code(environmentName(setting)), cell(doc)]),
    ),
    '',
    '## The other commands',
    '',
    'Settings that they share may be in the environment: `POSTRIDER_URL`, `POSTRIDER_MQTT_URL`, `POSTRIDER_API_KEY`, `POSTRIDER_DATA`, `POSTRIDER_CA`.',
    '',
    clients.map(clientSection).join('\n\n'),
    '',
    '## Exit codes',
    '',
    table(
      ['code', 'meaning'],
      Object.values(EXIT).map((exit) => [String(exit.code), cell(exit.meaning)]),
    ),
    '',
    'A second SIGINT or SIGTERM shortens a stop in good order; the next one ends the process at once, with 130 or 143.',
  ].join('\n')}\n`
}
