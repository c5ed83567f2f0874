// What of the chart is made from other parts of the project. Helm reads no file outside of a chart's folder, so dashboards and
// alerts are copied into it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parse } from 'yaml'
import { SERVER_OPTIONS } from '../../core/config/server-options.js'
import { configSchema } from './config-schema.js'
import { type RootSchema, valuesPage } from './values-page.js'

/** The folders under k8s/ that hold copies alone. */
export const COPIED_FOLDERS = ['k8s/files/dashboards', 'k8s/files/rules'] as const

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Paths below `folder` of every file, sorted; none when it is not there. */
function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/** A dashboard has panels; a file of rules has groups. Everything else under grafana/ is none of the chart's. */
function copyOf(path: string): readonly [string, string] | null {
  const text = readFileSync(path, 'utf8')
  if (path.endsWith('.json')) {
    const content: unknown = JSON.parse(text)
    if (isRecord(content) && Array.isArray(content['panels'])) return [`k8s/files/dashboards/${basename(path)}`, text]
  } else if (/\.ya?ml$/.test(path)) {
    const content: unknown = parse(text)
    if (isRecord(content) && Array.isArray(content['groups']))
      return [`k8s/files/rules/${basename(path).replace(/\.yml$/, '.yaml')}`, text]
  }
  return null
}

/** Path from the root → text of every file that is made. `schema` and `values` are the texts of the chart's own. */
export function chartFiles(root: string): ReadonlyMap<string, string> {
  const schema: RootSchema = JSON.parse(readFileSync(join(root, 'k8s/values.schema.json'), 'utf8'))
  const values: unknown = parse(readFileSync(join(root, 'k8s/values.yaml'), 'utf8'))
  const whole: RootSchema = { ...schema, properties: { ...schema.properties, config: configSchema(SERVER_OPTIONS) } }
  return new Map([
    ['k8s/values.schema.json', `${JSON.stringify(whole, null, 2)}\n`],
    ['docs/helm-values.md', valuesPage(whole, values)],
    ...filesBelow(join(root, 'grafana')).flatMap((path) => {
      const copy = copyOf(path)
      return copy === null ? [] : [copy]
    }),
  ])
}

/** Copies in the chart of what is not there any more. */
export function leftOver(root: string, made: ReadonlyMap<string, string>): readonly string[] {
  return COPIED_FOLDERS.flatMap((folder) => filesBelow(join(root, folder)).map((path) => `${folder}/${basename(path)}`))
    .filter((path) => !made.has(path))
    .toSorted()
}
