// The answer to a batch, written as text by hand: it is on the hot path, and everything in it but a refusal's words is known
// to need no escapes (device ids and epochs by their patterns).

import type { CodeCounter } from '../counters.js'
import { isRefusal, type Refusal } from '../problem.js'
import { refusalOf } from './append.js'
import type { BatchOutcome, FanOutPart, Slot } from './push-many.js'

const ID_SHOWN_MAX = 128

const errorText = (refusal: Refusal): string =>
  `"error":{"code":"${refusal.code}","message":${JSON.stringify(refusal.message)}}`

function messageText(outcome: BatchOutcome, index: number, inFanOut: boolean, refused: CodeCounter): string {
  const result = outcome.results[index]
  const device = outcome.messages[index]?.device ?? ''
  if (result !== undefined && result.ok) {
    const duplicate = result.duplicate ? ',"duplicate":true' : ''
    return `{"device":"${device}","seq":${result.seq},"epoch":"${result.epoch}"${duplicate}}`
  }
  const refusal = refusalOf(result)
  refused.count(refusal.code)
  return inFanOut ? `{"device":"${device}",${errorText(refusal)}}` : `{${errorText(refusal)}}`
}

function partText(outcome: BatchOutcome, part: FanOutPart, refused: CodeCounter): string {
  if (typeof part === 'number') return messageText(outcome, part, true, refused)
  refused.count(part.refusal.code)
  return `{"device":${JSON.stringify(part.device.slice(0, ID_SHOWN_MAX))},${errorText(part.refusal)}}`
}

function slotText(outcome: BatchOutcome, slot: Slot, refused: CodeCounter): string {
  if (typeof slot === 'number') return messageText(outcome, slot, false, refused)
  if (isRefusal(slot)) {
    refused.count(slot.code)
    return `{${errorText(slot)}}`
  }
  return `{"devices":[${slot.parts.map((part) => partText(outcome, part, refused)).join(',')}]}`
}

/** `{"results":[…]}`, in the order of the items. Counts what was refused. */
export function writeResults(outcome: BatchOutcome, refused: CodeCounter): string {
  let text = '{"results":['
  let separator = ''
  for (const slot of outcome.slots) {
    text += separator + slotText(outcome, slot, refused)
    separator = ','
  }
  return `${text}]}`
}

/** One result a line, in the order of the lines. */
export function writeResultLines(outcome: BatchOutcome, refused: CodeCounter): string {
  let text = ''
  for (const slot of outcome.slots) text += `${slotText(outcome, slot, refused)}\n`
  return text
}
