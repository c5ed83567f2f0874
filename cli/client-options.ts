// Settings that the client commands share. Each may also be set in the environment.

import { option, optional } from '../core/config/option.js'
import { text, type ValueType } from '../core/config/value-types.js'

function url(protocols: readonly string[]): ValueType<string> {
  const expected = `a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`
  return {
    placeholder: 'URL',
    expected,
    parse: (raw) => (URL.canParse(raw) && protocols.includes(new URL(raw).protocol) ? raw : undefined),
    format: (value) => value,
  }
}

export const DATA_OPTION = {
  data: option<string>({
    type: text('FOLDER', 'the data folder of a server on this machine'),
    default: './data',
    doc: 'The data folder of a server on this machine: where secrets are read that are not given otherwise',
  }),
} as const

export const CA_OPTION = {
  ca: optional<string>({
    type: text('FILE', 'the path of a PEM file'),
    doc: 'Over TLS: the authorities that are trusted, and no others; else those that Node knows',
  }),
} as const

export const REST_OPTIONS = {
  url: option<string>({
    type: url(['http:', 'https:']),
    default: 'http://127.0.0.1:8080',
    doc: 'Where the REST API is',
  }),
  apiKey: optional<string>({
    type: text('KEY', 'an API key'),
    doc: 'The API key; else the file `api-key` in the data folder. Better in the environment: flags can be seen by every user of the machine',
  }),
  ...DATA_OPTION,
  ...CA_OPTION,
} as const

export const MQTT_OPTIONS = {
  mqttUrl: optional<string>({
    type: url(['mqtt:', 'mqtts:', 'ws:', 'wss:']),
    doc: 'Where devices connect; else the host in `--url`, port 1883, or 8883 with TLS if that is https. `ws://host:8083/mqtt` for WebSocket',
  }),
} as const
