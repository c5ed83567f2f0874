// docs/helm-values.md: every value of the chart, what it is, and what it is when nobody says otherwise.

interface Schema {
  readonly description?: string
  readonly type?: unknown
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly $ref?: string
  readonly items?: Schema
  readonly minimum?: number
  readonly maximum?: number
}

export interface RootSchema extends Schema {
  readonly $defs?: Readonly<Record<string, Schema>>
}

const code = (text: string): string => `\`${text}\``
const cell = (text: string): string => text.replaceAll('|', '\\|')

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What a value must be, in words. */
function kindOf(schema: Schema): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.map((each) => code(String(each))).join(', ')}`
  const { minimum, maximum } = schema
  const type = Array.isArray(schema.type)
    ? schema.type.join(' or ')
    : typeof schema.type === 'string'
      ? schema.type
      : ''
  if (minimum !== undefined && maximum !== undefined) return `${type} from ${minimum} to ${maximum}`
  if (schema.$ref === '#/$defs/strings') return 'object of strings'
  if (schema.$ref === '#/$defs/resources') return 'requests and limits'
  return type === '' ? 'number or percentage' : type
}

function rows(path: string, schema: Schema, value: unknown): readonly string[] {
  const { properties, description = '' } = schema
  if (properties !== undefined && path !== 'config') {
    const own = path.includes('.') || description === '' ? [] : [`| **${path}** | | | ${cell(description)} |`]
    return [
      ...own,
      ...Object.entries(properties).flatMap(([key, inner]) =>
        rows(path === '' ? key : `${path}.${key}`, inner, isRecord(value) ? value[key] : undefined),
      ),
    ]
  }
  const preset = value === undefined || value === '' ? '' : code(cell(JSON.stringify(value)))
  if (path === 'config') return [`| ${code(path)} | object | ${preset} | ${cell(description)} |`]
  return [`| ${code(path)} | ${cell(kindOf(schema))} | ${preset} | ${cell(description)} |`]
}

/** The page, for the chart's schema and its values. */
export function valuesPage(schema: RootSchema, values: unknown): string {
  const pod = schema.$defs?.['pod']
  const table = (lines: readonly string[]): string =>
    ['| value | it must be | preset | what it is |', '| --- | --- | --- | --- |', ...lines].join('\n')
  return `${[
    '# Values of the Helm chart',
    '<!-- Made from k8s/values.schema.json and k8s/values.yaml: npm run chart -->',
    'The chart is in [k8s](../k8s); [Kubernetes](kubernetes.md) says how to use it. A value that does not exist, and one that cannot be, are refused with what would be right.',
    table(rows('', schema, values)),
    '## pod',
    'The same for `single.pod`, `broker.pod` and `api.pod`:',
    table(pod === undefined ? [] : rows('', { ...pod, description: '' }, undefined)),
    '## config',
    'Each setting of [configuration](configuration.md) that no other value decides, by its name without the dashes:',
    table(
      Object.entries(schema.properties?.['config']?.properties ?? {}).map(
        ([name, each]) => `| ${code(`config.${name}`)} | | | ${cell(each.description ?? '')} |`,
      ),
    ).replace('| value | it must be | preset | what it is |', '| value | | | what it is |'),
  ].join('\n\n')}\n`
}
