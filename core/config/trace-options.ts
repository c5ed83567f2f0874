import { option, optional } from './option.js'
import type { ValueType } from './value-types.js'

/** Where OTLP over HTTP is received, without its path. A user or password in it would end up in logs. */
function traceEndpoint(): ValueType<string> {
  return {
    placeholder: 'URL',
    expected: 'an http:// or https:// URL without user, password and query, such as http://127.0.0.1:4318',
    parse(raw) {
      const text = raw.trim()
      if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined
      const { username, password, search, hash, href } = new URL(text)
      return username + password + search + hash === '' ? href.replace(/\/+$/, '') : undefined
    },
    format: (value) => value,
  }
}

/** A share: 0 is none, 1 all. */
function ratio(): ValueType<number> {
  return {
    placeholder: 'SHARE',
    expected: 'a number from 0 to 1, such as 0.01',
    parse: (raw) => (/^(?:0(?:\.[0-9]{1,9})?|1(?:\.0{1,9})?)$/.test(raw) ? Number(raw) : undefined),
    format: String,
  }
}

/** The settings of exported traces. */
export const TRACE_OPTIONS = {
  otelEndpoint: optional<string>({
    type: traceEndpoint(),
    doc: 'Where traces are sent: a receiver of OpenTelemetry’s OTLP over HTTP (JSON); `/v1/traces` is added. Not set: none are made',
  }),
  otelRatio: option<number>({
    type: ratio(),
    default: 0,
    doc: 'The share of pushes without a `traceparent` that begin a trace. Those with one are traced when it says so',
  }),
} as const
