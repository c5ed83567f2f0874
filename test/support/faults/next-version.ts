// The version that comes after this one, as a program: this one's build, changed as its successor may change it. It writes the next
// format (more fields in a device's record, additions in entries of logs and in packets of the bus) and looks, wherever it reads that
// format, whether others have left it what it wrote.

import type { Test } from 'tap'
import { FORMAT } from '../../../core/stores/redis/formats.js'
import { readRepositoryFile } from '../repository.js'
import { changedBuild, type Change } from './changed-build.js'

/** What an addition holds. */
const ADDITION = 'of the next version'

const code = (text: string): string => JSON.stringify(text)

/** Lua within a JavaScript string. */
const inScripts = (from: string, to: string): Change => ({
  file: 'core/stores/redis/scripts.js',
  from: code(from).slice(1, -1),
  to: code(to).slice(1, -1),
})

/** A function that makes bytes makes more of them, with an addition at this place. */
function adding(file: string, name: string, parameters: string, at: string): readonly Change[] {
  return [
    {
      file,
      from: `function ${name}(${parameters}) {`,
      to: `function ${name}(...all) {\n    return addTo(${name}Known(...all), ${at});\n}\nfunction ${name}Known(${parameters}) {`,
    },
    { file, from: 'behindAdditions, ', to: 'addTo, behindAdditions, ' },
  ]
}

/** What a record consists of stands in front of all functions. */
const [fields = ''] = readRepositoryFile('core/stores/redis/lua/lib/record.lua').split('local function')
const numbers = [...fields.matchAll(/^local [A-Z_, ]+ = ([\d, ]+)/gm)].flatMap(([, list = '']) =>
  list.split(',').map(Number),
)

/** The field behind those that this version knows. */
const FIELD = Math.max(...numbers) + 1

const CODEC = 'core/stores/redis/message-codec.js'
const LENGTH = '{ dedupId, contentType, attributes, payload }'
const BODY = '{ dedupId, contentType, attributes, payload, priority, receipt }'

/** Messages are written to where they go, so their length is asked for before. */
const MESSAGES: readonly Change[] = [
  { file: CODEC, from: 'behindAdditions, ', to: 'ADDITION, behindAdditions, ' },
  {
    file: CODEC,
    from: `function bodyLength(${LENGTH}) {`,
    to: `function bodyLength(m) {\n    return 4 + ADDITION.length + knownLength(m);\n}\nfunction knownLength(${LENGTH}) {`,
  },
  {
    file: CODEC,
    from: `function writeBody(${BODY}, out, start) {`,
    to: `function writeBody(m, out, start) {
    out.writeUInt32BE(ADDITION.length, start);
    return writeKnown(m, out, start + 4 + ADDITION.copy(out, start + 4));
}
function writeKnown(${BODY}, out, start) {`,
  },
  inScripts('wantsReceipt(body, 1)', "wantsReceipt(body, 5 + struct.unpack('>I4', body))"),
]

const CHANGES: readonly Change[] = [
  { file: 'core/stores/redis/formats.js', from: `FORMAT = ${FORMAT};`, to: `FORMAT = ${FORMAT + 1};` },
  // A record counts how often this version has written it; nobody may lose that.
  inScripts(
    '  local r = cmsgpack.unpack(raw)\n',
    `  local r = cmsgpack.unpack(raw)\n  if r[FORMAT] > 1 and not r[${FIELD}] then error({ err = "LOST a field" }) end\n`,
  ),
  inScripts('local function saveRecord(r)\n', `local function saveRecord(r)\n  r[${FIELD}] = (r[${FIELD}] or 0) + 1\n`),
  {
    file: 'core/stores/redis/formats.js',
    from: 'export const behindAdditions = (bytes, at, format) => ',
    to: `export const ADDITION = Buffer.from(${code(ADDITION)});
export function addTo(bytes, at) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(ADDITION.length);
    return Buffer.concat([bytes.subarray(0, at), length, ADDITION, bytes.subarray(at)]);
}
export const behindAdditions = (bytes, at, format) => {
    const behind = knownBehind(bytes, at, format);
    if (format > ${FORMAT} && !bytes.subarray(at + 4, behind).equals(ADDITION)) throw new RangeError('LOST an addition');
    return behind;
};
const knownBehind = (bytes, at, format) => `,
  },
  // Whatever has room for an addition gets one.
  ...MESSAGES,
  ...adding(
    'core/stores/redis/uplink-codec.js',
    'encodeUplink',
    '{ device, channel, contentType, will, payload }',
    '0',
  ),
  ...adding('core/stores/redis/session-codec.js', 'encode', 'number, flags, topic, payload', 'HEAD'),
  ...adding('core/bus/redis/packet.js', 'head', 'kind, stream, number', 'HEAD'),
]

/** Answers the path of its command. It is removed at the end of the test. */
export const nextVersion = (t: Test): Promise<string> => changedBuild(t, CHANGES)
