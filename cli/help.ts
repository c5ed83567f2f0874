// The text of --help, from the tables of settings.

import { environmentName, settingName, type OptionTable } from '../core/config/option.js'
import type { Command } from './command.js'

const WIDTH = 100

function wrap(text: string, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return [...lines, line].map((each) => indent + each).join('\n')
}

/** `--window N` and below it what it does, its default and its variable. */
function optionLines(table: OptionTable, variables: boolean): string {
  return Object.entries(table)
    .map(([key, { type, default: preset, doc }]) => {
      const name = settingName(key)
      const notes = [
        ...(preset === undefined || type.placeholder === '' ? [] : [`default ${type.format(preset)}`]),
        ...(variables ? [environmentName(name)] : []),
      ]
      const heading = `  --${name}${type.placeholder === '' ? '' : ` ${type.placeholder}`}`
      return `${heading}\n${wrap(`${doc.replaceAll('`', '')}.${notes.length === 0 ? '' : ` [${notes.join('; ')}]`}`, '      ')}`
    })
    .join('\n')
}

export function commandHelp(command: Command): string {
  const isServer = command.name === 'serve'
  return [
    `postrider ${command.name} ${command.usage}`.trimEnd(),
    '',
    wrap(`${command.summary[0]?.toUpperCase() ?? ''}${command.summary.slice(1)}.`, ''),
    ...command.details.map((line) => wrap(line, '')),
    '',
    isServer
      ? 'Settings: flag [default; variable]. A file given by --config has the same names without dashes.'
      : 'Flags:',
    optionLines(command.options, isServer),
    '',
  ].join('\n')
}

export function mainHelp(commands: readonly Command[], version: string): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    `postrider ${version}: an ordered, acknowledged mailbox for every device, over MQTT`,
    '',
    'Commands:',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'postrider <command> --help says more; postrider --version prints the version.',
    '',
  ].join('\n')
}
