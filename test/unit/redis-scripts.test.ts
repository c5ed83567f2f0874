import { readFileSync, readdirSync } from 'node:fs'
import t from 'tap'
import { embeddedScripts } from '../../core/stores/redis/embed-scripts.js'
import { loadScripts, makeScript } from '../../core/stores/redis/script-loader.js'
import { LIBRARIES, SCRIPTS } from '../../core/stores/redis/scripts.js'

const FOLDER = new URL('../../core/stores/redis/', import.meta.url)

t.test('redis scripts: what is embedded is what the .lua files say (npm run build:scripts)', async (t) => {
  t.equal(readFileSync(new URL('scripts.ts', FOLDER), 'utf8'), embeddedScripts())
  const files = readdirSync(new URL('lua/', FOLDER)).filter((file) => file.endsWith('.lua'))
  t.strictSame(
    Object.keys(SCRIPTS),
    files.map((file) => file.replace('.lua', '')),
  )
})

t.test('redis scripts: each says what it does, its keys, arguments, answer and flags', async (t) => {
  for (const [name, text] of Object.entries(SCRIPTS)) {
    t.match(text, /^-- \S/, name)
    for (const word of ['-- KEYS  ', '-- Returns ', '-- flags: ']) t.ok(text.includes(`\n${word}`), `${name}: ${word}`)
    t.ok(text.includes('\n-- ARGV  '), `${name}: ARGV`)
  }
  for (const [name, text] of Object.entries(LIBRARIES)) t.match(text, /^-- \S/, name)
})

/** A script's lines with its libraries, as they are written; the first stands for the line of flags. */
const sourceOf = (name: keyof typeof SCRIPTS): readonly string[] => [
  '#!lua',
  ...SCRIPTS[name].split('\n').flatMap((line) => {
    const library = Object.entries(LIBRARIES).find(([each]) => line === `--@include ${each}`)
    return library === undefined ? line : library[1].split('\n')
  }),
]

t.test('redis scripts: are made whole, with their flags and settings in front', async (t) => {
  const ack = makeScript('ack', { retentionMs: 5, dropOldest: false })
  t.match(ack.text, /^#!lua flags=allow-oom\n/)
  t.notMatch(ack.text, /@include|SETTINGS/)
  t.match(ack.text, 'now + 5,', 'a setting stands where it is used')
  t.match(ack.text, 'r[7]', 'so does a constant')
  t.match(ack.text, "'ZREM'", 'and texts are left alone')
  t.equal(
    makeScript('purge', {})
      .text.split('\n')
      .findIndex((line) => line.startsWith('local function saveRecord')),
    sourceOf('purge').findIndex((line) => line.startsWith('local function saveRecord')),
    'lines keep their numbers',
  )
  t.match(ack.sha, /^[0-9a-f]{40}$/)
  t.match(makeScript('append', {}).text, /^#!lua\n/)
  t.not(makeScript('ack', { retentionMs: 6, dropOldest: false }).sha, ack.sha, 'other settings, another script')
  const scripts = loadScripts({})
  t.equal(scripts('append').sha, makeScript('append', {}).sha)
})
