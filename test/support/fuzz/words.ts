// Texts that have broken something somewhere.

import type { Random } from './random.js'

const NASTY: readonly string[] = [
  '',
  ' ',
  '.',
  '..',
  '../../etc/passwd',
  '/',
  '//',
  '#',
  '+',
  '+/#',
  '$',
  '$SYS/#',
  '$SYS/broker/clients',
  '$share/g/inbox/#',
  '*',
  '?',
  '[a-z]',
  '\\',
  '\u0000',
  'a\u0000b',
  '\r\n',
  'a\r\nset-cookie: x=1',
  '\u001b[31m',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\ufffe',
  'ä€😀',
  '\ud800',
  '\udfff\ud800',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'null',
  'undefined',
  'true',
  '0',
  '-1',
  '1e400',
  'NaN',
  '%00',
  '%2e%2e%2f',
  '%',
  '{{7*7}}',
  '${x}',
  '<x>',
  "'",
  '"',
  '`',
  ';',
  'inbox',
  'inbox/',
  'inbox/+',
  'inbox/#',
  'stream/x/hello',
  'uplink',
  'uplink/',
]

/** A text: an own one, a nasty one, a random one, or a long one. */
export function word(random: Random, own: readonly string[] = []): string {
  const kind = random.fraction()
  if (own.length > 0 && kind < 0.4) return random.pick(own)
  if (kind < 0.75) return random.pick(NASTY)
  if (kind < 0.85) return random.bytes(random.between(1, 20)).toString('latin1')
  if (kind < 0.95)
    return String.fromCodePoint(...Array.from({ length: random.between(1, 20) }, () => random.below(0x11_0000)))
  return random
    .pick(['x', 'ä', '/', '#', '\u0000'])
    .repeat(random.pick([64, 127, 128, 129, 256, 1_024, 1_025, 5_000, 65_535]))
}
