// A process in `nodes`: its nodes, and a word that changes while it lives.
//
//   _id process · f format · nodes whose claims are its own · sign another one every 2 s · left it has ended

import { fieldsOf, listOf, numberOf, textOf } from './fields.js'
import { FORMAT, readableFormat } from './formats.js'
import type { ProcessSign } from './node-watch.js'

export function readSign(document: unknown): ProcessSign {
  const fields = fieldsOf(document)
  readableFormat(numberOf(fields, 'f'), 'a process in MongoDB')
  const nodes = listOf(fields, 'nodes').filter((node) => typeof node === 'string')
  return { process: textOf(fields, '_id'), nodes, sign: textOf(fields, 'sign'), left: fields.get('left') === true }
}

export const newSign = (process: string, nodes: readonly string[], sign: string) => ({
  _id: process,
  f: FORMAT,
  nodes: [...nodes],
  sign,
})

/** Nodes are only ever added: of two signs under way none takes away what the other says. */
export const nextSign = (nodes: readonly string[], sign: string) => ({
  $set: { sign },
  $addToSet: { nodes: { $each: [...nodes] } },
})
