// The version that comes after this one, as a program: this one's build, changed as its successor may change it. It writes the next
// format (more fields in a device's record, additions in entries of logs and in packets of the bus) and looks, wherever it reads that
// format, whether others have left it what it wrote.

import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { FORMAT } from '../../../core/stores/redis/formats.js'
import { POSTRIDER } from '../command.js'

const PACKAGE = dirname(dirname(POSTRIDER))
const MODULES = fileURLToPath(new URL('../../../node_modules', import.meta.url))

/** What an addition holds. */
const ADDITION = 'of the next version'

interface Change {
  readonly file: string
  readonly from: string
  readonly to: string
}

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

const CHANGES: readonly Change[] = [
  { file: 'core/stores/redis/formats.js', from: `FORMAT = ${FORMAT};`, to: `FORMAT = ${FORMAT + 1};` },
  // A record counts how often this version has written it; nobody may lose that.
  inScripts(
    '  local r = cmsgpack.unpack(raw)\n',
    '  local r = cmsgpack.unpack(raw)\n  if r[FORMAT] > 1 and not r[31] then error({ err = "LOST a field" }) end\n',
  ),
  inScripts('local function saveRecord(r)\n', 'local function saveRecord(r)\n  r[31] = (r[31] or 0) + 1\n'),
  {
    file: 'core/stores/redis/formats.js',
    from: 'export const behindAdditions = (bytes, at, format) => ',
    to: `const ADDITION = Buffer.from(${code(ADDITION)});
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
  ...adding('core/stores/redis/message-codec.js', 'encodeBody', 'm', '0'),
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
export async function nextVersion(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postrider-next-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const part of ['bin', 'dist', 'package.json']) {
    await cp(join(PACKAGE, part), join(folder, part), { recursive: true })
  }
  await symlink(MODULES, join(folder, 'node_modules'))
  for (const { file, from, to } of CHANGES) {
    const path = join(folder, 'dist', file)
    const text = await readFile(path, 'utf8')
    if (text.split(from).length !== 2) throw new Error(`${file} has no single place for: ${from}`)
    await writeFile(
      path,
      text.replace(from, () => to),
    )
  }
  return join(folder, 'bin', 'postrider.js')
}
