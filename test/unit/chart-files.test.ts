import { existsSync } from 'node:fs'
import { join } from 'node:path'
import tap from 'tap'
import { parse } from 'yaml'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { type OptionTable, settingName } from '../../core/config/option.js'
import { chartFiles, leftOver } from '../../k8s/scripts/chart-files.js'
import { configSchema } from '../../k8s/scripts/config-schema.js'
import { at, string } from '../support/kubernetes/chart.js'
import { readRepositoryFile, repositoryRoot } from '../support/repository.js'

const schema: unknown = JSON.parse(readRepositoryFile('k8s/values.schema.json'))
const values: unknown = parse(readRepositoryFile('k8s/values.yaml'))

const keysOf = (content: unknown): readonly string[] =>
  typeof content === 'object' && content !== null && !Array.isArray(content) ? Object.keys(content) : []

await tap.test('chart: what is made from other parts is up to date', async (t) => {
  const made = chartFiles(repositoryRoot)
  for (const [path, text] of made) {
    t.ok(existsSync(join(repositoryRoot, path)) && readRepositoryFile(path) === text, `${path} (else: npm run chart)`)
  }
  t.same(leftOver(repositoryRoot, made), [], 'copies of what is not there any more (else: npm run chart)')
})

await tap.test('chart: its application is the version of the command', async (t) => {
  const { version } = JSON.parse(readRepositoryFile('cli/package.json'))
  t.equal(string(parse(readRepositoryFile('k8s/Chart.yaml')), 'appVersion'), version)
})

await tap.test(
  'chart: values and schema have the same keys, each with a description, and no others are taken',
  async (t) => {
    const wrong: string[] = []
    let seen = 0
    function look(path: string, part: unknown, value: unknown): void {
      seen++
      if (path !== '' && string(part, 'description') === '') wrong.push(`${path}: no description`)
      const properties = at(part, 'properties')
      if (properties === undefined || path === 'config') return
      if (at(part, 'additionalProperties') !== false) wrong.push(`${path}: takes any key`)
      for (const key of keysOf(properties)) {
        const below = path === '' ? key : `${path}.${key}`
        const has = keysOf(value).includes(key)
        if (!has && below !== 'global') wrong.push(`${below}: in the schema alone`)
        look(below, at(properties, key), at(value, key))
      }
      for (const key of keysOf(value))
        if (!keysOf(properties).includes(key)) wrong.push(`${path}.${key}: in the values alone`)
    }
    look('', schema, values)
    t.ok(seen > 100, `${seen} looked at`)
    t.same(wrong, [])
  },
)

await tap.test('chart: settings of the server have the form that the server takes', async (t) => {
  const properties = at(configSchema(SERVER_OPTIONS), 'properties')
  const names = keysOf(properties)
  t.ok(names.includes('inbox-max') && names.includes('cors-origin'))
  t.notOk(
    names.some((name) => ['role', 'store', 'mqtt-port', 'drain-delay', 'auth'].includes(name)),
    'the chart decides',
  )
  const options: OptionTable = SERVER_OPTIONS
  for (const [key, { type, default: preset }] of Object.entries(options)) {
    const part = at(properties, settingName(key))
    if (part === undefined || preset === undefined) continue
    const text = type.format(preset)
    const pattern = string(part, 'pattern')
    if (pattern !== '') t.match(text, new RegExp(pattern), `${settingName(key)} ${text}`)
    if (at(part, 'minimum') !== undefined) t.ok(Number(text) >= Number(at(part, 'minimum')), settingName(key))
  }
})
