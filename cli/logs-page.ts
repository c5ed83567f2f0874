// docs/logs.md, made from the table of events. `npm run docs:logs` writes it; a test fails while the page and the table differ.

import { LOG_EVENTS } from '../core/log-events.js'
import { cell, code, table } from './markdown.js'

export function logsPage(): string {
  return `${[
    '# Logs',
    '',
    '<!-- Made from the table in core/log-events.ts: npm run docs:logs -->',
    '',
    'One JSON object a line, on stderr: `time` (RFC 3339), `level`, `event`, `msg`, and fields. `event` is the name of a kind of line and stays; the words of `msg` may change. `--log-level` says from which level on.',
    '',
    'Lines that clients cause are limited to 100 a second in sum; more are left out, counted (`postrider_log_lines_left_out_total`) and told (`lines_left_out`). Errors and the lines of `debug` are not limited. No line holds a key, a token, a password or a payload.',
    '',
    'Each connection of a device that was let in ends with one `connection_ended`: `device`, `remote`, `reason` (as in `postrider_mqtt_closes_total`), `seconds`, `bytesIn`, `sent` (messages of its inbox) and `pubacks`. One that was not let in has one `connection_refused` with its `result`.',
    '',
    'Requests to the REST API are counted, not logged, unless they fail: `request_not_served` (5xx, with its `code`) and `request_failed` (a defect). Both have the `requestId` that the answer has in `X-Request-Id`: the one that the request came with (up to 128 letters, digits and `._:@/+=,-`), or a new one.',
    '',
    table(
      ['event', 'level', 'msg'],
      Object.entries(LOG_EVENTS).map(([event, { level, text }]) => [code(event), level, cell(text)]),
    ),
  ].join('\n')}\n`
}
