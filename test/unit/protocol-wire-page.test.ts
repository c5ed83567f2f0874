// docs/wire.md is what an implementation in another language is built from: its tables must be those of the code.

import t from 'tap'
import { CLOSE_CODES } from '../../protocol/codes.js'
import { FRAME_LIMITS } from '../../protocol/frames/frame-limits.js'
import { GAP_REASONS } from '../../protocol/frames/frame-types.js'
import { readRepositoryFile, sectionOf, tableRows } from '../support/repository.js'

const page = readRepositoryFile('docs/wire.md')
const namesIn = (section: string): string[] =>
  tableRows(sectionOf(page, section)).map(([name = '']) => name.replaceAll('`', ''))

void t.test('wire page: every close code with its advice', async (t) => {
  const rows = tableRows(sectionOf(page, 'bye')).filter(([name = '']) => name.slice(1, -1) in CLOSE_CODES)
  t.strictSame(
    rows.map(([name = '', advice = '']) => [name.slice(1, -1), advice]),
    Object.entries(CLOSE_CODES).map(([code, { reconnect, minMs, maxMs }]) => [
      code,
      reconnect === 'never' ? 'never' : `after ${minMs.toLocaleString('en')}–${maxMs.toLocaleString('en')} ms`,
    ]),
  )
})

void t.test('wire page: the reasons of a gap', async (t) => {
  t.strictSame(namesIn('gap'), [...GAP_REASONS])
})

void t.test('wire page: the bounds of the fields', async (t) => {
  const says = (section: string, ...numbers: number[]): void => {
    const text = sectionOf(page, section)
    for (const number of numbers) t.match(text, number.toLocaleString('en'), `${section}: ${number}`)
  }
  const l = FRAME_LIMITS
  says('Frames', l.logNameBytes, l.keys, l.keyBytes, l.depth, l.epochBytes)
  says('hello', l.logs, l.window, l.minFrameBytes, l.maxFrameBytes, l.sdkBytes)
  says('welcome', l.logs)
  says('data', l.messages, l.dedupIdBytes, l.contentTypeBytes, l.attributes, l.attributeKeyBytes, l.attributeValueBytes)
  says('ack', l.logs)
  says('uplink', l.channelBytes, l.uplinkIdBytes, l.contentTypeBytes)
  says('bye', l.closeCodeBytes, l.waitMs)
})
