// The part of the chart's schema that is the product's own: every setting of the server that the chart does not decide, with
// the form that its values must have.

import { type OptionTable, settingName } from '../../core/config/option.js'

/** Settings that follow from other values of the chart: the schema lets them through, so that templates/_checks.tpl can say which. */
const DECIDED_BY_THE_CHART =
  /^(?:role|host|log-level|otel-.*|store|bus|redis-.*|durability|auth|token-.*|tls-.*|proxy-protocol|trust-proxy|connections-max|workers|drain-.*|(?:mqtt|ws|http|mqtts|wss|https)-port|admin-.*)$/

const SIZE = '[1-9][0-9]*(B|KiB|MiB|GiB)?'
const RATE = '[1-9][0-9]*/(s|min)'

/** The forms of values, by what the help calls them. */
const PATTERNS: Readonly<Record<string, string>> = {
  SIZE: `^[0-9]+(B|KiB|MiB|GiB)?$`,
  DURATION: '^[0-9]+(ms|s|m|h|d)$',
  'N/s|off': `^(${RATE}|off)$`,
  'SIZE/s|off': `^(${SIZE}/s|off)$`,
}

interface ConfigProperty {
  readonly description: string
  readonly [keyword: string]: unknown
}

function property({ type, default: preset, doc, repeatable }: OptionTable[string]): ConfigProperty {
  const described = { description: `${doc}. It must be ${type.expected}` }
  const { placeholder } = type
  const [, min, max] = /^a whole number from ([0-9]+) to ([0-9]+)/.exec(type.expected) ?? []
  const pattern = PATTERNS[placeholder]
  if (placeholder === '') return { ...described, type: 'boolean' }
  if (min !== undefined && max !== undefined) {
    const range = { type: 'integer', minimum: Number(min), maximum: Number(max) }
    return { ...described, ...(placeholder.endsWith('|off') ? { anyOf: [range, { enum: ['off'] }] } : range) }
  }
  if (pattern !== undefined) {
    return { ...described, ...(placeholder === 'SIZE' ? { type: ['string', 'integer'] } : { type: 'string' }), pattern }
  }
  if (/^[a-z-]+(?:\|[a-z-]+)+$/.test(placeholder)) return { ...described, enum: placeholder.split('|') }
  if (repeatable === true)
    return { ...described, anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] }
  return { ...described, type: typeof preset === 'number' ? 'integer' : 'string' }
}

/** The schema of the value `config`. */
export function configSchema(options: OptionTable): object {
  const properties = Object.entries(options)
    .map(([key, spec]) => [settingName(key), spec] as const)
    .filter(([name]) => !DECIDED_BY_THE_CHART.test(name))
    .map(([name, spec]) => [name, property(spec)] as const)
  return {
    description:
      'Settings of the server, by the names of docs/configuration.md without the dashes. What other values decide is not among them',
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(properties),
    patternProperties: { [DECIDED_BY_THE_CHART.source]: {} },
  }
}
